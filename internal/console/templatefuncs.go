package console

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/console/tree"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

// templateFuncs are the functions of templates. Foreign text must pass line, brief or text, since it may contain
// characters that reorder or hide adjacent text.
var templateFuncs = template.FuncMap{
	"line": shown.Line, "text": shown.Text, "brief": brief, "lines": linesOfText, "id": elementID, "at": formatTime,
	"rate": formatRate, "count": formatCount, "bytes": formatBytes, "wholePercent": wholePercent, "state": stateWord,
	"look": lookOf, "icon": icon, "query": query, "seconds": formatSeconds, "actions": rowActions, "flow": flowText,
	"spark": sparkOf, "loadShare": loadShare, "canEdit": canEdit, "keyLine": keyLine, "tree": treeOf,
	"compared": compareStep, "outcome": stepOutcome, "lastStep": lastStep, "next": nextStep,
	"isUneditable": isUneditable, "product": buildinfo.Product,
	"json":       func(data json.RawMessage) string { return brief(string(data)) },
	"hasLetters": func(c rest.ConnectorSummary) bool { return c.LettersOpen != nil && *c.LettersOpen > 0 },
	"shortClass": func(class string) string { return brief(class[strings.LastIndexByte(class, '.')+1:]) },
	"exactly": func(date time.Time) template.HTML { // the script does not make it relative
		return timeElement(date, `<time class="exact"`, "</time>")
	},
	"kafkaConnect": func() string { return buildinfo.KafkaConnect },
	"list":         func(words ...string) []string { return words },
	"label":        func(do string) string { return actions[do].Label },
	"alone":        func(r rest.SampledRecord) comparedRecord { return comparedRecord{Now: r} },
}

// shownTree is a text of a record: Document if it is complete JSON, else Lines.
type shownTree struct {
	*tree.Document
	Lines []string
}

// treeOf returns the tree of a text and its schema, with marks where it differs from those before a step; "" means that
// there is no such text.
func treeOf(text, schema, before, beforeSchema string) shownTree {
	d := tree.Parse(text, schema)
	if d == nil {
		return shownTree{Lines: linesOfText(text)}
	}
	if earlier := tree.Parse(before, beforeSchema); earlier != nil {
		d.Compare(earlier)
	}
	return shownTree{Document: d}
}

const maxBrief = 300

func brief(text any) string { return shown.LineUpTo(textOf(text), maxBrief) }

func textOf(text any) string { return fmt.Sprint(indirect(text)) }

// indirect returns the value of a pointer, nil for a nil pointer, and other values as they are.
func indirect(value any) any {
	pointer := reflect.ValueOf(value)
	switch {
	case pointer.Kind() != reflect.Pointer:
		return value
	case pointer.IsNil():
		return nil
	}
	return pointer.Elem().Interface()
}

// formatTime formats a time or a string in RFC 3339. The script makes it relative.
func formatTime(value any) template.HTML {
	var date time.Time
	switch value := indirect(value).(type) {
	case time.Time:
		date = value
	case string:
		date, _ = time.Parse(time.RFC3339, value)
	}
	if date.IsZero() {
		return "–"
	}
	return timeElement(date, "<time", " UTC</time>")
}

func timeElement(date time.Time, start, end string) template.HTML {
	date = date.UTC()
	attribute := ` datetime="` + date.Format(time.RFC3339Nano) + `">`
	return template.HTML(start + attribute + date.Format(time.DateTime) + end)
}

// formatRate formats a number per second with three digits.
func formatRate(n float64) string {
	switch {
	case n == 0 || math.IsNaN(n):
		return "0"
	case n == math.Trunc(n):
		return formatCount(int64(n))
	case n < 0.01:
		return "< 0.01"
	case n < 10:
		return strconv.FormatFloat(n, 'f', 2, 64)
	case n < 100:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return formatCount(int64(math.Round(n)))
}

// formatCount formats a number with commas, and a nil pointer as a dash.
func formatCount(n any) string {
	number := indirect(n)
	if number == nil {
		return "–"
	}
	formatted := fmt.Sprint(number)
	digits := strings.TrimPrefix(formatted, "-")
	var b strings.Builder
	b.WriteString(formatted[:len(formatted)-len(digits)])
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func wholePercent(share float64) string { return strconv.Itoa(int(100*share)) + " %" }

// linesOfText returns the lines of a text without characters that hide or reorder others.
func linesOfText(text any) (lines []string) {
	for line := range strings.SplitSeq(textOf(text), "\n") {
		lines = append(lines, shown.Line(line))
	}
	return lines
}

// elementID returns an element ID for any parts, which users may have written.
func elementID(parts ...any) string { return "i" + digest(fmt.Appendf(nil, "%q", parts)) }

// stateLook is how a state is shown: an icon and a color of DESIGN.md.
type stateLook struct{ Icon, Color string }

var stateLooks = map[string]stateLook{
	"failed": {"circle-x", "bad"}, "unknown": {"circle-dashed", "warn"}, "unassigned": {"circle-dashed", "warn"},
	"away": {"cloud-off", "warn"}, "refusing": {"triangle-alert", "warn"}, "starting": {"loader", "info"},
	"loading": {"download", "info"}, "waiting": {"clock", "off"}, "running": {"play", "good"},
	"idle": {"circle-check", "good"}, "paused": {"pause", "off"}, "stopped": {"square", "off"},
}

// stateWord returns the word for a condition or a state of Kafka Connect.
func stateWord(s any) string {
	word := strings.ToLower(fmt.Sprint(s))
	if word == "restarting" {
		word = "starting"
	}
	return shown.Line(word)
}

func lookOf(s any) stateLook {
	if look, ok := stateLooks[stateWord(s)]; ok {
		return look
	}
	return stateLook{"circle-dashed", "off"}
}

func icon(name string) template.HTML {
	return template.HTML(`<svg class="i" aria-hidden="true" focusable="false"><use href="` + spriteFile + `#` + name +
		`"/></svg>`)
}

const spriteFile = "assets/vendor/lucide-1.62.0.svg"

// query returns the query of a link with alternating names and values.
func query(namesAndValues ...string) string { return "?" + pairs(namesAndValues...).Encode() }

func formatSeconds(seconds *int64) string {
	if seconds == nil {
		return "–"
	}
	switch n := *seconds; {
	case n < 90:
		return strconv.FormatInt(n, 10) + " s"
	case n < 90*60:
		return strconv.FormatInt((n+30)/60, 10) + " min"
	default:
		return strconv.FormatInt((n+1800)/3600, 10) + " h"
	}
}

// curl returns a REST call as a command; a text body names the file to send. The password is prompted for.
func (v viewer) curl(route string, body any, values ...string) string {
	method, target := rest.Target(route, values...)
	var b strings.Builder
	b.WriteString("curl")
	if v.NeedsLogon {
		b.WriteString(" --user NAME")
	}
	if method != "GET" {
		b.WriteString(" -X " + method)
	}
	switch body := body.(type) {
	case nil:
		// the request has no body
	case string:
		b.WriteString(" -H 'Content-Type: " + propertiesType + "' --data-binary @" + shown.ShellWord(body))
	default:
		if data, err := json.Marshal(body); err == nil {
			b.WriteString(" -H 'Content-Type: application/json' -d " + shown.ShellWord(string(data)))
		}
	}
	return shown.Line(b.String() + " " + shown.ShellWord(v.Base+target))
}

// sparkOf returns the sparkline of a connector in a list: the rows of each minute.
func sparkOf(minutes []*int64, rows *float64) sparkline {
	label := "rows a minute in the last hour"
	if rows != nil {
		label += ", now " + formatRate(*rows) + " a second"
	}
	return newSparkline(label, mergeSteps(minutes, 1, false), 96, 24)
}

func formatBytes(n *uint64) string {
	if n == nil {
		return "–"
	}
	return formatCount(*n>>20) + " MB"
}
