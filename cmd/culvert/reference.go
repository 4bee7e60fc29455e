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

const guidePrefix = "guide/"

func readReference(name string) ([]byte, error) {
	if guideName, ok := strings.CutPrefix(name, guidePrefix); ok {
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
				const format = "there is no page %q: the nearest one is %s (culvert reference lists all)"
				return asUsageError(fmt.Errorf(format, inLine(args[0]), nearestPage(args[0])))
			}
			_, err = c.OutOrStdout().Write(page)
			return asFailure(err)
		},
		ValidArgs: referenceNames(),
	}
}

func referenceNames() (names []string) {
	guides, _ := referencePages.ReadDir("guides") // the folder is embedded
	for _, e := range guides {
		names = append(names, guidePrefix+strings.TrimSuffix(e.Name(), ".md"))
	}
	pages, _ := referencePages.ReadDir("reference") // the folder is embedded
	for _, e := range pages {
		names = append(names, strings.TrimSuffix(e.Name(), ".md"))
	}
	return names
}

func nearestPage(text string) string {
	trimmed := func(name string) string { return strings.ToLower(strings.TrimPrefix(name, guidePrefix)) }
	distance := func(name string) int {
		n := 2 * setting.Distance(trimmed(name), trimmed(text))
		if strings.HasPrefix(name, guidePrefix) != strings.HasPrefix(text, guidePrefix) {
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
	return printColumns(c.OutOrStdout(), "", rows)
}
