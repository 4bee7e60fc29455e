package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/shown"
)

func newPluginsCheck() *cobra.Command {
	var in installation
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Check whether a plugin's file would be accepted, and try its functions",
		Long: `Check whether a .wasm file would be accepted, then call its functions without settings: describe must answer the same
twice, validate must answer for each component, and every other function must return, an error or not. Exit code: 0
accepted, 1 refused, 2 if the file cannot be read or a setting is wrong.`,
		Example: "  culvert plugins check ./my.wasm",
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err != nil {
				return asUsageError(err)
			}
			o, w, err := pluginConfig(c, &in, "")
			if err != nil {
				return err
			}
			checked, err := setup.CheckPlugin(c.Context(), o, w, args[0])
			if err != nil {
				return asUsageError(fmt.Errorf("%s: %w", args[0], err))
			}
			return printCheck(c.OutOrStdout(), args[0], checked)
		},
	}
	in.flags(c, "warn")
	return c
}

// printCheck prints the result. The error means that the file is refused.
func printCheck(w io.Writer, file string, c *plugin.CheckResult) error {
	if c.Info.Err != nil {
		metered := ""
		if c.Metered.BytesOut > 0 {
			metered = fmt.Sprintf("\n(it can be metered: %s)", sizeText(c))
		}
		return asFailure(fmt.Errorf("%s: refused: %s%s", file, shown.Text(c.Info.Err.Error()), metered))
	}
	verdict := "accepted"
	if c.Refused() {
		verdict = "refused"
	}
	fmt.Fprintf(w, "%s: %s: %s %s, contract %s\n\n", file, verdict, inLine(c.Info.Name), inLine(c.Info.Version),
		c.Info.Contract)
	rows := [][]string{
		{"interfaces", strings.Join(c.Info.Interfaces, ", ")},
		{"hash", shortHash(c.Info.Hash)},
		{"memory", fmt.Sprintf("%d bytes at the start, at most %d", c.MemoryBytes, c.Limits.MemoryBytes)},
		{"size", sizeText(c)},
	}
	if dropped := c.Metered.Dropped; len(dropped) > 0 {
		rows = append(rows, []string{"left out", strings.Join(dropped, ", ")})
	}
	calls := fmt.Sprintf("%d tried without settings, within %v; an error is a valid answer", len(c.Calls),
		plugin.CheckTime)
	rows = append(rows, []string{"calls", calls}, nil)
	for _, call := range c.Calls {
		rows = append(rows, []string{inLine(call.Function + " " + call.Subject), inLine(call.Answer)})
	}
	if err := printColumns(w, "", rows); err != nil {
		return asFailure(err)
	}
	if err := showFindings(w, c.Findings); err != nil {
		return asFailure(err)
	}
	if c.Refused() {
		return asFailure(fmt.Errorf("%s: refused: it breaks the contract, see above", file))
	}
	return nil
}

func showFindings(w io.Writer, findings []plugin.Finding) (err error) {
	for _, kind := range []struct {
		title   string
		refused bool
	}{
		{title: "breaks the contract", refused: true},
		{title: "advice", refused: false},
	} {
		title := "\n" + kind.title + "\n"
		for _, f := range findings {
			if f.Refused == kind.refused {
				_, err = fmt.Fprintf(w, "%s  %s\n", title, strings.ReplaceAll(shown.Text(f.String()), "\n", "\n    "))
				title = ""
			}
		}
	}
	return err
}

func sizeText(c *plugin.CheckResult) string {
	original := c.Info.Size
	metered := c.Metered.BytesOut
	return fmt.Sprintf("%d bytes, metered %d (%+.1f %%)", original, metered, 100*(float64(metered)/float64(original)-1))
}
