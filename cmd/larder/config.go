package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder/config"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/sealed"
)

// configEnv names the configuration file if --config does not.
const configEnv = "LARDER_CONFIG"

// readFile reads the configuration file, once: that of --config, or of configEnv, or the user's own if there is one. It
// does not look into the working directory: what was unpacked there must not change where responses go.
func (a *app) readFile(ctx context.Context) error {
	if a.file != nil {
		return nil
	}
	path, named := a.filePath()
	if path == "" {
		a.file = new(config.Config)
		return nil
	}
	file, err := loadConfig(ctx, path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		file, err = new(config.Config), nil
	}
	a.file = file
	if err != nil && ctx.Err() == nil {
		return &exitError{exitUsage, err}
	}
	return err
}

// loadConfig is config.Load, unless it is interrupted: the file may be a pipe.
func loadConfig(ctx context.Context, path string) (*config.Config, error) {
	return unlessInterrupted(ctx, 0, func() (*config.Config, error) { return config.Load(path) })
}

// filePath returns where the configuration file is, and whether somebody named it; "": there is none.
func (a *app) filePath() (path string, named bool) {
	path = string(a.config)
	if path == "" {
		path = os.Getenv(configEnv)
	}
	switch path {
	case "none":
		return "", true
	case "":
		dir, err := os.UserConfigDir()
		if err != nil { // for example, a service without a home
			return "", false
		}
		return filepath.Join(dir, "larder", "larder.yaml"), false
	}
	return path, true
}

// location returns where the store is: by the command line, else the environment, else the file, else the default.
// byFile is false for the first two.
func (a *app) location() (at location, byFile bool, err error) {
	given := string(a.store)
	if given == "" {
		given = os.Getenv(storeEnv)
	}
	if given == "" && a.file.Store.Location != "" {
		l, err := a.file.Location()
		if err == nil && !l.Known() {
			err = fmt.Errorf("%s: store.location: there is no kind of store %q, want %s", a.file.File(), l.Kind, config.Forms)
		}
		return location{l}, true, err
	}
	at, err = locate(given)
	return at, given == "", err
}

// openStore opens the store, with the encryption and compression that the flags want around it. For the file's own
// store and the default one, what the file wants is around it, too.
func (a *app) openStore(cmd *cobra.Command, create bool, keys []sealed.Key) (store.Store, func() error, error) {
	ctx, warn := cmd.Context(), warner(cmd)
	at, byFile, err := a.location()
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	if !byFile {
		s, err := at.open(ctx, create, warn)
		if err != nil {
			return nil, nil, fmt.Errorf("the store cannot be used: %w", err)
		}
		return a.around(s, closeOf(s), keys)
	}
	c := *a.file
	compress := a.wrappers.compress
	if !cmd.Flags().Changed("compress") {
		compress = c.Store.Compress
	}
	c.Store.Compress = true // always packing, which reads compressed bodies even if it writes none
	if c.Store.Location == "" {
		c.Store.Location = config.Literal(at.Kind + ":" + at.Path)
	}
	open := func(ctx context.Context, at config.Location) (store.Store, error) {
		return location{at}.open(ctx, create, warn)
	}
	drivers := &config.Drivers{
		Open:     map[string]func(context.Context, config.Location) (store.Store, error){"sqlite": open, "disk": open, "memory": open},
		Compress: func(s store.Store) store.Store { return packing(s, compress) },
	}
	for kind := range databases {
		drivers.Open[kind] = open
	}
	s, closeStore, err := c.OpenStore(ctx, drivers)
	if err != nil || len(keys) == 0 {
		return s, closeStore, err
	}
	return a.around(s, closeStore, keys)
}

// around puts what the flags want around s. If that fails, it closes s.
func (a *app) around(s store.Store, closeStore func() error, keys []sealed.Key) (store.Store, func() error, error) {
	around, err := a.wrappers.around(s, keys)
	if err != nil {
		closeStore()
		return nil, nil, fmt.Errorf("the store cannot be used: %w", err)
	}
	return around, closeStore, nil
}

func newConfig(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration file",
		Long: `The configuration file holds what the flags say, and rules: see docs/config.md. It is the one that
--config or $LARDER_CONFIG names, or larder/larder.yaml in the user's configuration folder. Flags
come before it.`,
		Example: `  larder config check larder.yaml
  larder config show
  larder config schema > larder.schema.json`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addCommands(cmd, newConfigCheck(a), newConfigShow(a), newConfigSchema())
	return cmd
}

func newConfigCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "check [FILE]",
		Short:   "Tell what is wrong with a configuration file",
		Example: "  larder config check larder.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, _ := a.filePath()
			if len(args) > 0 {
				path = args[0]
			}
			if path == "" {
				return usagef("no file is given")
			}
			_, err := loadConfig(cmd.Context(), path)
			var faults config.Faults
			if errors.As(err, &faults) {
				for _, f := range faults {
					fmt.Fprintln(cmd.OutOrStdout(), printable(f.Error()))
				}
				return &exitError{code: exitFailed}
			}
			return err
		},
	}
}

func newConfigShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show the configuration file that is in force, without passwords",
		Example: "  larder config show",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.readFile(cmd.Context()); err != nil {
				return err
			}
			text, err := a.file.YAML()
			if err != nil {
				return err
			}
			name := a.file.File()
			if name == "" {
				name = "none"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "# %s\n%s", printable(name), text)
			return err
		},
	}
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Write the JSON Schema of the configuration file",
		Example: "  larder config schema > larder.schema.json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema)
			return err
		},
	}
}
