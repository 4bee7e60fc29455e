package main

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// referencePages has pages generated from declarations (`go test ./cmd/culvert -run TestReference -update` writes and
// checks them) and guides, which are written by hand.
//
//go:embed reference/*.md guides/*.md
var referencePages embed.FS

// guide is the prefix of the names of guides.
const guide = "guide/"

func readReference(name string) ([]byte, error) {
	if guideName, ok := strings.CutPrefix(name, guide); ok {
		return referencePages.ReadFile(path.Join("guides", guideName+".md"))
	}
	return referencePages.ReadFile(path.Join("reference", name+".md"))
}

func newReference() *cobra.Command {
	return &cobra.Command{
		Use:   "reference [NAME]",
		Short: "Print the reference (settings, commands, REST and metrics) and guides",
		Long: "Print a page of the reference, or a guide, as Markdown. Without NAME they are listed. The pages " +
			"belong to this program's\n" +
			"version and its own plugins; settings of others are shown by culvert plugins show.",
		Example: "  culvert reference\n  culvert reference source | less\n  culvert reference guide/delivery",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return asFailure(listReference(c))
			}
			page, err := readReference(args[0])
			if err != nil {
				return asUsageError(fmt.Errorf(
					"there is no page %q: the nearest one is %s (culvert reference lists all)",
					inLine(args[0]), nearestPage(args[0])))
			}
			_, err = c.OutOrStdout().Write(page)
			return asFailure(err)
		},
		ValidArgs: referenceNames(),
	}
}

// referenceNames returns the sorted names of the guides, then of the pages.
func referenceNames() (names []string) {
	for _, in := range []struct{ folder, prefix string }{{"guides", guide}, {"reference", ""}} {
		entries, _ := referencePages.ReadDir(in.folder) // the folder is embedded
		for _, e := range entries {
			names = append(names, in.prefix+strings.TrimSuffix(e.Name(), ".md"))
		}
	}
	return names
}

// nearestPage returns the page with the most similar name.
func nearestPage(text string) string {
	bare := func(name string) string { return strings.ToLower(strings.TrimPrefix(name, guide)) }
	distance := func(name string) int {
		n := 2 * setting.Distance(bare(name), bare(text))
		if strings.HasPrefix(name, guide) != strings.HasPrefix(text, guide) {
			n++ // if a guide and a page of settings have one name, prefer the one of the same kind
		}
		return n
	}
	return slices.MinFunc(referenceNames(), func(a, b string) int { return distance(a) - distance(b) })
}

func listReference(c *cobra.Command) error {
	var rows [][]string
	for _, name := range referenceNames() {
		page, err := readReference(name)
		if err != nil {
			return err
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(string(page), "# "), "\n")
		rows = append(rows, []string{name, title})
	}
	return columns(c.OutOrStdout(), "", rows)
}
