package console

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

// templateFuncs are the functions of templates. Foreign text must pass line, brief or text, since it may contain
// characters that reorder or hide adjacent text.
var templateFuncs = template.FuncMap{
	"line": shown.Line, "text": shown.Text, "brief": brief, "at": formatTime, "rate": formatRate, "count": formatCount,
	"percent": formatPercent,
	"id":      elementID, "yesNo": yesNo, "state": stateWord, "sign": stateSign, "json": oneLineJSON,
	"shares": flowChart,
	"marked": diffLines, "compared": comparedStep,
	"alone": func(r rest.SampledRecord) comparedRecord { return comparedRecord{Now: r} },
}

const maxBrief = 300

func brief(text string) string { return shown.LineUpTo(text, maxBrief) }

// formatTime formats a time in UTC. It is absolute, so that an unchanged fragment stays unchanged.
func formatTime(t any) template.HTML {
	var when time.Time
	switch t := t.(type) {
	case time.Time:
		when = t
	case *time.Time:
		if t != nil {
			when = *t
		}
	case string:
		when, _ = time.Parse(time.RFC3339, t)
	}
	if when.IsZero() {
		return "–"
	}
	when = when.UTC()
	return template.HTML(`<time datetime="` + when.Format(time.RFC3339Nano) + `">` +
		when.Format("2006-01-02 15:04:05") + ` UTC</time>`)
}

// formatRate formats a number per second with three digits.
func formatRate(n float64) string {
	switch {
	case n == 0 || math.IsNaN(n):
		return "0"
	case n < 0.01:
		return "< 0.01"
	case n < 10:
		return strconv.FormatFloat(n, 'f', 2, 64)
	case n < 100:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return formatCount(int64(math.Round(n)))
}

func formatCount(n any) string {
	if known, ok := n.(*int64); ok {
		n = *known
	}
	text := fmt.Sprint(n)
	digits := strings.TrimPrefix(text, "-")
	var b strings.Builder
	b.WriteString(text[:len(text)-len(digits)])
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString("\u202f")
		}
		b.WriteRune(d)
	}
	return b.String()
}

// yesNo formats a bool that may be unknown: a template treats a pointer to false as true.
func yesNo(known *bool) string {
	switch {
	case known == nil:
		return "–"
	case *known:
		return "yes"
	}
	return "no"
}

func formatPercent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }

func oneLineJSON(data json.RawMessage) string { return brief(string(data)) }

func elementID(parts ...any) string {
	return "i" + digest(fmt.Appendf(nil, "%q", parts))
}

// stateWords has text and sign of each state, so that color is never the only difference.
var stateWords = map[string][2]string{
	"failed": {"failed", "✕"}, "unknown": {"unknown", "?"}, "unassigned": {"unassigned", "?"}, "away": {"away", "…"},
	"refusing": {"refusing", "!"}, "starting": {"starting", "↻"}, "loading": {"loading", "↓"},
	"waiting": {"waiting", "◷"}, "running": {"running", "▶"}, "idle": {"idle", "○"}, "paused": {"paused", "‖"},
	"stopped": {"stopped", "■"}, "restarting": {"restarting", "↻"},
}

func stateWord(s any) string {
	key := strings.ToLower(fmt.Sprint(s))
	if word, ok := stateWords[key]; ok {
		return word[0]
	}
	return shown.Line(key)
}

func stateSign(s any) string { return stateWords[strings.ToLower(fmt.Sprint(s))][1] }

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
	case string:
		b.WriteString(" -H 'Content-Type: " + propertiesType + "' --data-binary @" + shown.ShellWord(body))
	default:
		if data, err := json.Marshal(body); err == nil {
			b.WriteString(" -H 'Content-Type: application/json' -d " + shown.ShellWord(string(data)))
		}
	}
	return shown.Line(b.String() + " " + shown.ShellWord(v.Base+target))
}
