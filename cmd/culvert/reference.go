package main

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"
)

// referencePages are made from what host and plugins declare: `go test ./cmd/culvert -run TestReference -update` writes
// them anew, and the same test says when they are out of date.
//
//go:embed reference/*.md
var referencePages embed.FS

// newReference prints pages of the reference, which are part of the program.
func newReference() *cobra.Command {
	return &cobra.Command{
		Use:   "reference [NAME]",
		Short: "Print the reference: settings, commands, REST and metrics",
		Long: "Print a page of the reference, as Markdown. Without NAME the pages are listed. The pages belong to this program's version\n" +
			"and its own plugins; settings of others are shown by culvert plugins show.",
		Example: "  culvert reference\n  culvert reference source | less",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failed(listReference(c))
			}
			page, err := referencePages.ReadFile(path.Join("reference", args[0]+".md"))
			if err != nil {
				return wrong(fmt.Errorf("expected one of %s, found %q", strings.Join(referenceNames(), ", "), inLine(args[0])))
			}
			_, err = c.OutOrStdout().Write(page)
			return failed(err)
		},
		ValidArgs: referenceNames(),
	}
}

// referenceNames are the names of the pages, sorted.
func referenceNames() (names []string) {
	entries, _ := referencePages.ReadDir("reference") // embedded: it is there
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".md"))
	}
	return names
}

func listReference(c *cobra.Command) error {
	for _, name := range referenceNames() {
		page, err := referencePages.ReadFile(path.Join("reference", name+".md"))
		if err != nil {
			return err
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(string(page), "# "), "\n")
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%-18s %s\n", name, title); err != nil {
			return err
		}
	}
	return nil
}
