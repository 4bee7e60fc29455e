package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Every command that the README, the guides and the pages of examples name is there, with the options that they give
// it: who copies a line is not told that there is no such thing.
func TestCommandsOfGuides(t *testing.T) {
	pages := []string{"../../README.md"}
	for _, pattern := range []string{"guides/*.md", "../../examples/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) < 5 {
			t.Fatalf("%s: %v %v", pattern, found, err)
		}
		pages = append(pages, found...)
	}
	reference, err := os.ReadFile("reference/commands.md")
	e2etest.NoError(t, err)
	root := newRoot(t.Context(), nil)
	lines := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		e2etest.NoError(t, err)
		for _, line := range commandLines(string(text)) {
			lines++
			for _, wrong := range wrongIn(root, string(reference), line) {
				t.Errorf("%s: culvert %s: %s", page, line, wrong)
			}
		}
	}
	if lines < 60 {
		t.Errorf("expected the commands of the pages, found %d", lines)
	}
}

// commandLines are the command lines of a page behind the word culvert: lines of blocks of sh, and what stands in
// backquotes, also over the end of a line.
func commandLines(page string) (lines []string) {
	block := regexp.MustCompile("(?s)```(?:sh)?\n(.*?)```")
	for _, m := range block.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(m[1]) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			for _, part := range strings.Split(line, " | ") {
				part = strings.TrimPrefix(regexp.MustCompile(`^([A-Z_]+=("[^"]*"|\S*) )*`).ReplaceAllString(part, ""), "bin/")
				if rest, ok := strings.CutPrefix(part, "culvert "); ok {
					lines = append(lines, strings.TrimSuffix(rest, "&"))
				}
			}
		}
	}
	page = block.ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile("`culvert ([^`]*)`").FindAllStringSubmatch(page, -1) {
		lines = append(lines, strings.ReplaceAll(strings.Join(strings.Fields(m[1]), " "), `\|`, "|"))
	}
	return lines
}

// wrongIn is what a command line names and the program does not have. Words with | in them stand for several.
func wrongIn(root *cobra.Command, reference, line string) (wrong []string) {
	words := regexp.MustCompile(`"[^"]*"|[^\s"]+`).FindAllString(strings.NewReplacer("[", " ", "]", " ").Replace(line), -1)
	command, path := root, ""
	var options []string // of a command of a plugin: what the reference says of it
	for at, word := range words {
		switch {
		case strings.HasPrefix(word, "-"):
			name, _, _ := strings.Cut(word, "=")
			if !hasOption(command, options, name) {
				wrong = append(wrong, "no option "+name)
			}
			continue
		case command.HasSubCommands() && at == len(strings.Fields(path)):
			var next *cobra.Command
			for _, name := range strings.Split(word, "|") {
				path := strings.TrimSpace(path + " " + name)
				i := slices.IndexFunc(command.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
				_, section, ofPlugin := strings.Cut(reference, "\n## culvert "+path+"\n")
				switch {
				case i >= 0 && name != "ping": // a plugin has ping, too, with its options
					next = command.Commands()[i]
				case ofPlugin && command == root:
					section, _, _ = strings.Cut(section, "\n## ")
					options = regexp.MustCompile("-[-a-zA-Z]+").FindAllString(section, -1)
					next = &cobra.Command{}
				default:
					return append(wrong, "no command "+path)
				}
			}
			command, path = next, strings.TrimSpace(path+" "+word)
		}
	}
	return wrong
}

func hasOption(c *cobra.Command, options []string, name string) bool {
	c.InitDefaultHelpFlag()
	switch long, is := strings.CutPrefix(name, "--"); {
	case slices.Contains(options, name):
		return true
	case is:
		return c.Flags().Lookup(long) != nil || c.InheritedFlags().Lookup(long) != nil
	case len(name) == 2:
		return c.Flags().ShorthandLookup(name[1:]) != nil
	}
	return false
}
