package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/config"
	"github.com/larder-go/larder/internal/errno"
)

// Exit codes, as they stand in the help and in docs/command.md.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotStored   = 3
	exitStatus      = 22 // as curl -f
	exitInterrupted = 128 + int(syscall.SIGINT)
	exitBrokenPipe  = 128 + int(syscall.SIGPIPE)
)

const exitCodes = `Exit codes:
  0    done
  1    it failed: the origin cannot be reached, the store cannot be used, show or rm found nothing
  2    a wrong command line
  3    get --offline, and nothing stored may be used
  22   get --fail, and the status is 400 or above
  130  interrupted
  141  nobody reads the output any more`

// exitError is an error with an exit code of its own. If err is nil, it has been reported already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, a ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, a...)}
}

// ranError wraps an error of a command that ran, unlike cobra's errors about the command line.
type ranError struct{ error }

func (e ranError) Unwrap() error { return e.error }

// app is shared by all commands.
type app struct {
	store    textFlag
	wrappers wrappers
	config   textFlag
	file     *config.Config // the file that config names, once it has been read
	noHelp   error          // why no help was written, since cobra's help returns no error
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := new(app)
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(patient{ctx, stdout})
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = a.noHelp
	}
	if err == nil {
		return 0
	}
	code := exitCode(ctx, err)
	var exit *exitError
	var faults config.Faults
	switch told := errors.As(err, &exit) && exit.err == nil; {
	case told, code == exitBrokenPipe:
	case code == exitInterrupted:
		fmt.Fprintln(stderr, "larder: interrupted")
	case errors.As(err, &faults):
		for _, f := range faults {
			tell(stderr, f)
		}
	case code == exitUsage:
		fmt.Fprintf(stderr, "larder: %s (see %s --help)\n", printable(err.Error()), cmd.CommandPath())
	default:
		tell(stderr, err)
	}
	return code
}

func exitCode(ctx context.Context, err error) int {
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case !errors.As(err, new(ranError)):
		return exitUsage
	case errors.Is(err, errno.EPIPE):
		return exitBrokenPipe
	case ctx.Err() != nil:
		return exitInterrupted
	}
	return exitFailed
}

// tell writes an error as one line.
func tell(stderr io.Writer, err error) {
	fmt.Fprintln(stderr, "larder:", printable(strings.TrimPrefix(err.Error(), "larder: "))) // the package's errors begin so, too
}

// warner returns a function that writes a warning to standard error.
func warner(cmd *cobra.Command) func(warning string) {
	return func(warning string) { tell(cmd.ErrOrStderr(), errors.New(warning)) }
}

// flagError makes the error about a boolean flag say what it may be, and not which function could not read it.
func flagError(_ *cobra.Command, err error) error {
	var wrong *pflag.InvalidValueError
	var unread *strconv.NumError
	if errors.As(err, &wrong) && errors.As(err, &unread) && unread.Func == "ParseBool" {
		return fmt.Errorf("--%s is %q, want true or false", wrong.GetFlag().Name, wrong.GetValue())
	}
	return err
}

func newRoot(a *app) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:   "larder",
		Short: "A persistent HTTP cache",
		Long: `larder fetches URLs through a persistent HTTP cache that follows RFC 9111, and looks after what is
stored. A store is sqlite:PATH, disk:DIR or memory:, limited by ?max-bytes=2GiB (512MB, none),
redis://HOST (rediss, redis+cluster, redis+sentinel), mongodb://HOST/DATABASE, or dynamodb://TABLE.
A damaged sqlite file is set aside, and a new one begun; with ?damaged=fail it is an error.
A key file holds 32 bytes, plain, in hexadecimal or in base64; further files decrypt what is older.

` + exitCodes,
		Example: `  larder get -v https://example.com/
  larder get --ttl 1h https://api.example.com/v1/things
  larder why https://api.example.com/v1/things
  larder purge --stale`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !showVersion {
				return cmd.Help()
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), "larder version", version()); err != nil {
				return ranError{err}
			}
			return nil
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetUsageFunc(usage)
	root.SetHelpFunc(a.help(root.HelpFunc()))
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = 1
	root.CompletionOptions.DisableDefaultCmd = true // ours is newCompletion
	root.PersistentFlags().Var(&a.store, "store", "the `STORE`, such as sqlite:PATH or redis://HOST; see larder --help (default $"+
		storeEnv+", or else larder/cache.sqlite in the user's cache folder)")
	root.PersistentFlags().Var(&a.config, "config", "the configuration `FILE`, or none (default $"+configEnv+
		", or else larder/larder.yaml in the user's configuration folder)")
	root.PersistentFlags().StringArrayVar(&a.wrappers.keyFiles, "encrypt-key-file", nil, "keep responses encrypted, with the key in `FILE`")
	root.PersistentFlags().BoolVar(&a.wrappers.compress, "compress", false, "keep bodies compressed")
	root.PersistentFlags().BoolP("help", "h", false, "this text")
	root.Flags().BoolVar(&showVersion, "version", false, "the version") // cobra's own does not check arguments
	complete(root, "store", completeStore)
	addCommands(root, newGet(a), newLs(a), newShow(a), newWhy(a), newRm(a), newPurge(a), newStats(a), newSweep(a), newWarm(a),
		newCp(a), newVerify(a), newExport(a), newImport(a), newServe(a), newUI(a), newConfig(a), newCompletion())
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Args = helpArgs
	}
	return root
}

// addCommands adds commands to parent, and makes what they return a ranError.
func addCommands(parent *cobra.Command, commands ...*cobra.Command) {
	for _, cmd := range commands {
		do := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := do(cmd, args); err != nil {
				return ranError{err}
			}
			return nil
		}
		parent.AddCommand(cmd)
	}
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// cache opens the store, and returns a cache in front of it. The caller must close both. Unless create is set, a
// missing store is not made, but taken for an empty one.
func (a *app) cache(cmd *cobra.Command, create bool) (c *larder.Cache, closeStore func() error, err error) {
	if err := a.readFile(cmd.Context()); err != nil {
		return nil, nil, err
	}
	keys, err := unlessInterrupted(cmd.Context(), 0, a.wrappers.keys) // a file may be a pipe
	if err != nil {
		return nil, nil, fmt.Errorf("the store cannot be used: %w", err)
	}
	s, closeStore, err := a.openStore(cmd, create, keys)
	if err != nil {
		return nil, nil, err
	}
	c = &larder.Cache{Store: s, Name: "larder"}
	a.file.Apply(c)
	return c, closeStore, nil
}

const (
	backgroundTime = 30 * time.Second // for a refresh in the background, after the last body
	interruptTime  = 5 * time.Second  // for discarding what was being stored, after an interrupt
)

// closeCache waits for the work in the background, and closes the store.
func closeCache(ctx context.Context, c *larder.Cache, closeStore func() error) error {
	grace, cancel := context.WithTimeout(ctx, backgroundTime)
	err := c.Close(grace)
	cancel()
	if err != nil && ctx.Err() != nil {
		grace, cancel = context.WithTimeout(context.WithoutCancel(ctx), interruptTime)
		c.Close(grace)
		cancel()
	}
	return closeStore()
}

// closeServed is closeCache for a command that runs until it is interrupted: then the work in the background has
// interruptTime.
func closeServed(ctx context.Context, c *larder.Cache, closeStore func() error) error {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruptTime)
	defer cancel()
	c.Close(grace)
	return closeStore()
}

// urlArgs accepts one argument or more, up to most; most < 0: any number.
func urlArgs(most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return errors.New("no URL is given")
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%d URLs are given, want %d", len(args), most)
		}
		return nil
	}
}

// noArgs is cobra.NoArgs with another message, since an argument of a command is not an unknown command.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q: no arguments are expected", args[0])
	}
	return nil
}

// complete makes f the completion of a flag.
func complete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // there is no such flag
	}
}

func oneOf(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}
