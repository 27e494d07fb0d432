package main_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestHelp shows that each help fits one screen and has examples, and that docs/command.md knows every command and
// flag.
func TestHelp(t *testing.T) {
	t.Parallel()
	u := newUser(t, "")
	reference := read(t, "../../docs/command.md") + read(t, "../../docs/command-move.md")
	root := u.ok("--help")
	if bare := u.ok(); bare != root {
		t.Errorf("larder alone writes\n%s", bare)
	}
	commands := []string{""}
	_, list, _ := strings.Cut(root, "\nCommands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		commands = append(commands, strings.Fields(line)[0])
	}
	if len(commands) < 10 {
		t.Fatalf("the help lists %v", commands)
	}
	example := regexp.MustCompile(`(?m)\blarder (.*?)(?:\)|$| [|>] )`)
	flag := regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)
	for _, command := range commands {
		help := u.ok(append(strings.Fields(command), "--help")...)
		lines := strings.Split(help, "\n")
		if len(lines) > 54 || lines[0] == "" || !strings.Contains(help, "\nExamples:\n  larder") && !strings.Contains(help, "\nExamples:\n  source <(larder") {
			t.Errorf("larder %s --help has %d lines, begins with %q, or has no examples", command, len(lines), lines[0])
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > 100 {
				t.Errorf("larder %s --help has a line of more than 100 columns: %s", command, line)
			}
		}
		_, examples, _ := strings.Cut(help, "\nExamples:\n")
		examples, _, _ = strings.Cut(examples, "\n\n")
		for _, match := range example.FindAllStringSubmatch(examples, -1) { // --help is answered when the other flags have been read
			if r := u.finish(u.program("sh", "-c", `exec "$0" `+match[1]+" --help", binary)); r.code != 0 || !strings.Contains(r.out, "\nUsage:\n") {
				t.Errorf("the example larder %s: code %d, %s", match[1], r.code, r.err)
			}
		}
		if !strings.Contains(reference, "\n## larder "+command) {
			t.Errorf("docs/command.md has no section on larder %s", command)
		}
		for _, match := range flag.FindAllStringSubmatch(help, -1) {
			if !strings.Contains(reference, "`"+match[1]) && !strings.Contains(reference, ", "+match[1]) {
				t.Errorf("docs/command.md says nothing of %s of larder %s", match[1], command)
			}
		}
	}
	if version := u.ok("--version"); !strings.HasPrefix(version, "larder version ") {
		t.Errorf("--version writes %s", version)
	}
}
