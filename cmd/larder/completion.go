package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder/store"
)

var shells = []struct {
	name   string
	script func(root *cobra.Command, w io.Writer) error
}{
	{"bash", changed(func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, false) },
		`        if (( ${#COMPREPLY[@]} == 1 )); then
            COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]}")
        fi
`, `        local i
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]=$(printf "%q" "${COMPREPLY[i]}")
        done
`)},
	{"zsh", (*cobra.Command).GenZshCompletionNoDesc},
	{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, false) }},
	{"powershell", changed((*cobra.Command).GenPowerShellCompletion,
		`$CompletionText = "$($comp.Name)$Description"`, `$CompletionText = $comp.Name | __larder_escapeStringWithSpecialChars`)},
}

// changed returns a script of cobra's with old replaced by new. Cobra escapes a candidate only if it is the only one.
// Of several, bash and PowerShell insert the common beginning, and a stored URL may be shell code. zsh and fish escape
// by themselves.
func changed(script func(*cobra.Command, io.Writer) error, old, new string) func(*cobra.Command, io.Writer) error {
	return func(root *cobra.Command, w io.Writer) error {
		var s strings.Builder
		if err := script(root, &s); err != nil {
			return err
		}
		if strings.Count(s.String(), old) != 1 {
			return errors.New("the script of this shell would not escape what is stored")
		}
		_, err := io.WriteString(w, strings.Replace(s.String(), old, new, 1))
		return err
	}
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

// mostCompletions is how many candidates the shell is offered, and completionTime how long it waits for them.
const (
	mostCompletions = 100
	completionTime  = time.Second
)

// completeURL offers the URLs that are stored.
func (a *app) completeURL(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, store.Query{Prefix: word}, word, func(r *store.Record) []string { return []string{r.URL} })
}

// completeHost offers the hosts of what is stored.
func (a *app) completeHost(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, store.Query{}, word, func(r *store.Record) []string { return []string{store.Host(r.URL)} })
}

// completeTag offers the tags of what is stored.
func (a *app) completeTag(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, store.Query{}, word, func(r *store.Record) []string { return r.Tags })
}

// completeFrom offers those words of the records that begin with word.
func (a *app) completeFrom(cmd *cobra.Command, q store.Query, word string, words func(*store.Record) []string) (
	[]cobra.Completion, cobra.ShellCompDirective,
) {
	cmd.SetErr(io.Discard) // the shell would show it amid what is being typed
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer closeStore()
	ctx, cancel := context.WithTimeout(store.Inspect(cmd.Context()), completionTime) // what is damaged must not be removed silently
	defer cancel()
	seen := make(map[string]bool)
	var out []cobra.Completion
	for r, err := range c.Entries(ctx, q) {
		if errors.Is(err, store.ErrCorrupt) {
			continue
		}
		if err != nil || len(out) == mostCompletions {
			break
		}
		for _, s := range words(r) {
			if strings.HasPrefix(s, word) && !seen[s] {
				seen[s] = true
				out = append(out, printable(s))
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeStore completes the scheme, the path and the options.
func completeStore(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	var all []string
	scheme, path, found := strings.Cut(word, ":")
	switch before, options, hasOptions := strings.Cut(word, "?"); {
	case !found:
		all = []string{"sqlite:", "disk:", "memory:", "redis://", "rediss://", "redis+cluster://", "redis+sentinel://",
			"mongodb://", "mongodb+srv://", "dynamodb://"}
	case hasOptions:
		if i := strings.LastIndexByte(options, '&'); i >= 0 {
			before += "?" + options[:i] // the options before the last stay, too
		}
		sep := word[len(before):][:1]
		all = []string{before + sep + "max-bytes=", before + sep + "max-bytes=512MiB", before + sep + "max-bytes=2GiB", before + sep + "max-bytes=none"}
		if scheme == "sqlite" {
			all = append(all, before+sep+"damaged=fail", before+sep+"damaged=rebuild")
		}
	case scheme == "sqlite" || scheme == "disk":
		all = completePath(scheme+":", path, scheme == "disk")
	}
	return slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, word) }), directive
}

// completePath returns the files and folders, or only the folders, whose path begins with path, each with scheme before
// it.
func completePath(scheme, path string, foldersOnly bool) []string {
	dir, _ := filepath.Split(path)
	at := dir
	if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(dir, "~/") {
		at = home + dir[1:]
	}
	entries, err := os.ReadDir(cmp.Or(at, "."))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := scheme + dir + e.Name()
		if info, err := os.Stat(filepath.Join(at, e.Name())); err == nil && info.IsDir() {
			out = append(out, name+"/")
		} else if !foldersOnly {
			out = append(out, name)
		}
	}
	return out
}
