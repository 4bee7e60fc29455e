package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/shown"
)

// sayOthers has a command show what plugins and services say without obeying it: see [shown.Writer].
func sayOthers(c *cobra.Command) {
	c.SetOut(shown.Writer{To: c.OutOrStdout()})
	c.SetErr(shown.Writer{To: c.ErrOrStderr()})
}

// printJSON is what --json shows: the same text, in escapes where a terminal would obey it.
func printJSON(w io.Writer, v any) error {
	document, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(shown.JSON(document), '\n'))
	return err
}

// cellCharacters is how much of a text stands in a cell of a table.
const cellCharacters = 200

// inLine is a text that may be long and have several lines, cut so that it fits into a line of a table.
func inLine(s string) string { return shown.Within(s, cellCharacters) }
