package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is where the lines of the help are wrapped, in columns.
const helpWidth = 100

// usage writes what follows the description in a command's help: the command line, examples, and flags.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		line = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(&b, "Usage:\n  %s\n", line)
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-11s %s\n", c.Name(), c.Short)
			}
		}
	}
	for _, set := range []struct {
		title string
		flags *pflag.FlagSet
	}{{"Flags", cmd.LocalFlags()}, {"Flags of every command", cmd.InheritedFlags()}} {
		if set.flags.HasAvailableFlags() {
			fmt.Fprintf(&b, "\n%s:\n%s", set.title, set.flags.FlagUsagesWrapped(helpWidth))
		}
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

// unknownCommand refuses arguments for a command that has subcommands, and so takes no others.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 && args[0] != "" { // every name begins with ""
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(like, " or "))
	}
	return err
}

// help returns a help function that calls write, unless it is asked about a command that does not exist. Cobra does not
// check arguments before help, and drops the error of writing: both are left in a.noHelp.
func (a *app) help(write func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		if cmd.HasSubCommands() || cmd.Name() == "help" {
			if a.noHelp = cmd.ValidateArgs(cmd.Flags().Args()); a.noHelp != nil {
				return
			}
		}
		out := cmd.OutOrStdout()
		var text bytes.Buffer
		cmd.SetOut(&text)
		write(cmd, args)
		if _, err := out.Write(text.Bytes()); err != nil {
			a.noHelp = ranError{err}
		}
	}
}

// helpArgs accepts only the name of a command. For anything else cobra would show the help of the root.
func helpArgs(help *cobra.Command, args []string) error {
	of, rest, err := help.Root().Find(args)
	if err != nil {
		return err
	}
	return unknownCommand(of, rest)
}

// exclusive allows at most one of the flags.
func exclusive(cmd *cobra.Command, names ...string) {
	cmd.MarkFlagsMutuallyExclusive(names...) // for the completion; the message below is plainer
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		var given []string
		for _, name := range names {
			if cmd.Flags().Changed(name) {
				given = append(given, "--"+name)
			}
		}
		if len(given) > 1 {
			return errors.New(strings.Join(given, " and ") + " exclude each other")
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}
