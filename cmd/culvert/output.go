package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/shown"
)

// output prints the result of a command: as JSON with --json, else for people.
type output struct{ json bool }

func (o *output) flag(c *cobra.Command, about string) {
	c.Flags().BoolVar(&o.json, "json", false, about)
}

// print prints a result as JSON, or else by writeText. A nil writeText means [printDocument].
func (o output) print(out io.Writer, result any, writeText func(io.Writer) error) error {
	if o.json {
		return asFailure(printJSON(out, result))
	}
	if writeText != nil {
		return asFailure(writeText(out))
	}
	document, err := json.Marshal(result)
	if err == nil {
		err = printDocument(out, document)
	}
	return asFailure(err)
}

// printJSON prints a value as JSON on one line, with terminal escapes shown as text.
func printJSON(w io.Writer, v any) error {
	document, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(shown.JSON(document), '\n'))
	return err
}

// cellCharacters bounds the text in a cell of a table.
const cellCharacters = 200

// inLine returns a text cut to fit into one line of a table.
func inLine(s string) string { return shown.LineUpTo(s, cellCharacters) }

// printColumns prints rows below their titles, which blanks separate; "" means no titles. Cells are formatted by
// [shown.Line].
func printColumns(out io.Writer, titles string, rows [][]string) error {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if titles != "" {
		fmt.Fprintln(t, strings.Join(strings.Fields(titles), "\t"))
	}
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				io.WriteString(t, "\t")
			}
			io.WriteString(t, shown.Line(cell))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// printDocument prints a JSON document: an array of objects as a table, an object as lines, anything else as it is.
// Members with arrays of objects come last, below their names.
func printDocument(out io.Writer, document []byte) error {
	if rows := objects(document); rows != nil {
		return printTable(out, rows)
	}
	names, values := members(document)
	if names == nil {
		_, err := fmt.Fprintln(out, shown.Text(string(document)))
		return err
	}
	var lines [][]string
	for _, name := range names {
		if objects(values[name]) == nil {
			lines = append(lines, []string{inLine(name), cell(values[name])})
		}
	}
	if err := printColumns(out, "", lines); err != nil {
		return err
	}
	for _, name := range names {
		if rows := objects(values[name]); rows != nil {
			fmt.Fprintf(out, "%s:\n", inLine(name))
			if err := printTable(out, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// objects returns the elements of an array of objects, nil for anything else and for an empty array.
func objects(document []byte) (rows []json.RawMessage) {
	if json.Unmarshal(document, &rows) != nil || len(rows) == 0 || !bytes.HasPrefix(rows[0], []byte("{")) {
		return nil
	}
	return rows
}

// members returns the names of an object's members in their order, and their values; nil if document is not an object.
func members(document []byte) (names []string, values map[string]json.RawMessage) {
	d := json.NewDecoder(bytes.NewReader(document))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil
	}
	names = []string{}
	values = map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, nil
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil
		}
		names = append(names, name.(string))
		values[name.(string)] = value
	}
	return names, values
}

// printTable prints objects with a column for each member that any of them has.
func printTable(out io.Writer, objects []json.RawMessage) error {
	var titles []string
	objectValues := make([]map[string]json.RawMessage, len(objects))
	for i, object := range objects {
		var names []string
		names, objectValues[i] = members(object)
		for _, name := range names {
			if !slices.Contains(titles, name) {
				titles = append(titles, name)
			}
		}
	}
	rows := [][]string{{}}
	for _, title := range titles {
		rows[0] = append(rows[0], strings.ToUpper(inLine(title)))
	}
	for _, values := range objectValues {
		var row []string
		for _, title := range titles {
			row = append(row, cell(values[title]))
		}
		rows = append(rows, row)
	}
	return printColumns(out, "", rows)
}

// cell returns a value as text: a string without its quotes, nothing for null.
func cell(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	if list := []string{}; json.Unmarshal(value, &list) == nil {
		return strings.Join(list, ", ")
	}
	return string(value)
}
