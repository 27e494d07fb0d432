package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

var shells = []struct {
	name   string
	script func(root *cobra.Command, w io.Writer) error
}{
	{"bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, false) }},
	{"zsh", (*cobra.Command).GenZshCompletionNoDesc},
	{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, false) }},
	{"powershell", (*cobra.Command).GenPowerShellCompletion},
}

func newCompletion() *cobra.Command {
	var names []string
	for _, s := range shells {
		names = append(names, s.name)
	}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write the completion script of a shell",
		Long: `Write the script that makes bash, zsh, fish or powershell complete larder's commands, flags and
stores, and the URLs, hosts and tags of what is stored. bash needs its package bash-completion.`,
		Example: `  source <(larder completion bash)
  larder completion zsh > "${fpath[1]}/_larder"
  larder completion fish > ~/.config/fish/completions/larder.fish
  larder completion powershell | Out-String | Invoke-Expression`,
		ValidArgs:             names,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%d shells are given, want one of bash, zsh, fish and powershell", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, s := range shells {
				if s.name == args[0] {
					return s.script(cmd.Root(), cmd.OutOrStdout())
				}
			}
			return usagef("unknown shell %q, want bash, zsh, fish or powershell", args[0])
		},
	}
}
