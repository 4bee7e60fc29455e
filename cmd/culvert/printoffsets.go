package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/shown"
)

// offsetLabels are the printed words for fields of stored offsets, in order. Other fields are printed by their names.
var offsetLabels = []struct {
	field  string
	label  string
	isTime bool
}{
	{field: "url", label: "request"},
	{field: "link", label: "delta link"},
	{field: "began", label: "started", isTime: true},
	{field: "at", label: "finished", isTime: true},
	{field: "seen", label: "rows before the request"},
	{field: "record", label: "rows of the request that were delivered"},
	{field: "count", label: "rows by the service's count"},
	{field: "high", label: "highest cursor value"},
	{field: "complete", label: "proof of the last load"},
	{field: "fingerprint", label: "belongs to"},
}

// phaseLabels are the printed words for values of the field phase of an entity set with change tracking.
var phaseLabels = map[string]string{
	"load":    "first load, with change tracking",
	"second":  "reading the entity set a second time",
	"hidden":  "reading rows that the first load missed",
	"changes": "reading changes",
	"links":   "asking the ODP service for its delta links",
	"ask":     "asking the ODP service for existing subscriptions",
	"end":     "ending the subscription of another reader",
	"open":    "starting the first extraction of the ODP service",
	"wait":    "waiting for the first extraction of the ODP service",
}

var proofLabels = map[string]string{
	"key":      "order of the keys",
	"count":    "the service's count",
	"delta":    "delta link",
	"unproven": "none",
}

type storedOffset struct{ Partition, Offset json.RawMessage }

func printOffsets(out io.Writer, answer []byte, asJSON bool) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, answer, "", "  "); err != nil {
		return fmt.Errorf("expected JSON, found %s: %w", shown.LineUpTo(string(answer), 200), err)
	}
	var stored struct{ Offsets []storedOffset }
	if asJSON || json.Unmarshal(answer, &stored) != nil {
		_, err := fmt.Fprintln(out, indented.String())
		return err
	}
	if len(stored.Offsets) == 0 {
		_, err := fmt.Fprintln(out, "no offsets are stored")
		return err
	}
	for _, s := range stored.Offsets {
		if err := s.print(out); err != nil {
			return err
		}
	}
	return nil
}

func (s storedOffset) print(out io.Writer) error {
	names, partition := members(s.Partition)
	fields, offset := members(s.Offset)
	if topic, ok := partition["kafka_topic"]; ok && offset["kafka_offset"] != nil {
		_, err := fmt.Fprintf(out, "topic %s, partition %s: the next record is the one with offset %s\n",
			inLine(cell(topic)), inLine(cell(partition["kafka_partition"])), inLine(cell(offset["kafka_offset"])))
		return err
	}
	var title []string
	for _, name := range names {
		title = append(title, name+" "+cell(partition[name]))
	}
	if _, err := fmt.Fprintln(out, shown.Line(strings.Join(title, ", "))); err != nil {
		return err
	}
	var rows [][]string
	printed := []string{}
	if partition["entityset"] != nil && len(fields) > 0 {
		rows = append(rows, []string{"  state", stateText(offset)})
		printed = append(printed, "phase", "rest", "done", "beginning")
	}
	for _, l := range offsetLabels {
		if value := offset[l.field]; value != nil {
			formatted := cell(value)
			if ms, err := strconv.ParseInt(formatted, 10, 64); l.isTime && err == nil {
				formatted = time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC")
			}
			if label, ok := proofLabels[formatted]; ok && l.field == "complete" {
				formatted = label
			}
			rows = append(rows, []string{"  " + l.label, formatted})
			printed = append(printed, l.field)
		}
	}
	var others []string
	for _, name := range fields {
		if !slices.Contains(printed, name) {
			others = append(others, name+"="+cell(offset[name]))
		}
	}
	if len(others) > 0 {
		rows = append(rows, []string{"  other fields", strings.Join(others, ", ")})
	}
	return printColumns(out, "", rows)
}

func stateText(offset map[string]json.RawMessage) string {
	isSet := func(name string) bool { return string(offset[name]) == "true" }
	phase := cell(offset["phase"])
	switch label, ok := phaseLabels[phase]; {
	case offset["beginning"] != nil:
		return "first load; its first rows may have been delivered"
	case phase == "changes" && isSet("rest"):
		return "all changes were read; the request asks for the next ones"
	case ok:
		return label
	case phase != "":
		return phase
	case isSet("done") && cell(offset["complete"]) == "unproven":
		return "finished: nothing proves that all rows were read"
	case isSet("done"):
		return "complete: all rows were read"
	case strings.Contains(strings.ToLower(cell(offset["url"])), "deltatoken"):
		return "taken over; the request asks for changes"
	}
	return "full load; the request is the next page"
}
