package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/culvert-project/culvert/host/shown"
)

// show shows an answer as JSON, or as [render] does.
func (r *remote) show(out io.Writer, answer any) error {
	if r.json {
		return printJSON(out, answer)
	}
	document, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return render(out, document)
}

// render shows a JSON document: an array of objects as a table, an object as lines, anything else as it stands.
func render(out io.Writer, document []byte) error {
	var rows []json.RawMessage
	if json.Unmarshal(document, &rows) == nil && len(rows) > 0 && fields(rows[0]) != nil {
		return table(out, rows)
	}
	members := fields(document)
	if members == nil {
		_, err := fmt.Fprintln(out, shown.Text(string(document)))
		return err
	}
	values := map[string]json.RawMessage{}
	if err := json.Unmarshal(document, &values); err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, name := range members {
		var nested []json.RawMessage
		if json.Unmarshal(values[name], &nested) == nil && len(nested) > 0 && fields(nested[0]) != nil {
			t.Flush()
			fmt.Fprintf(out, "%s:\n", inLine(name))
			if err := table(out, nested); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(t, "%s\t%s\n", inLine(name), cell(values[name]))
	}
	return t.Flush()
}

// fields are the names of an object's members in their order, nil if it is none.
func fields(document []byte) []string {
	d := json.NewDecoder(bytes.NewReader(document))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	names := []string{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil
		}
		names = append(names, name.(string))
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return nil
		}
	}
	return names
}

// table shows objects with a column for each member that any of them has.
func table(out io.Writer, rows []json.RawMessage) error {
	var columns []string
	for _, row := range rows {
		for _, name := range fields(row) {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	titles := make([]string, len(columns))
	for i, column := range columns {
		titles[i] = strings.ToUpper(inLine(column))
	}
	fmt.Fprintln(t, strings.Join(titles, "\t"))
	for _, row := range rows {
		values := map[string]json.RawMessage{}
		if err := json.Unmarshal(row, &values); err != nil {
			return err
		}
		var cells []string
		for _, column := range columns {
			cells = append(cells, cell(values[column]))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// cell is a value as text in a line: a string without its quotes, nothing for null.
func cell(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return shown.Line(text)
	}
	if list := []string{}; json.Unmarshal(value, &list) == nil {
		return shown.Line(strings.Join(list, ", "))
	}
	return shown.Line(string(value))
}
