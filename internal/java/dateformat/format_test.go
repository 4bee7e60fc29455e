package dateformat

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Times are formatted as by java.text.SimpleDateFormat of OpenJDK 17 in UTC and Locale.US, whose results for patterns
// and times are in dates.tsv.
func TestFormatsDatesLikeJava(t *testing.T) {
	checkRows(t, "dates.tsv", func(pattern, input string) string {
		millis, err := strconv.ParseInt(input, 10, 64)
		require.NoError(t, err)
		f, err := Parse(pattern)
		if err != nil {
			return "fails: " + err.Error()
		}
		return string(f.Append(nil, millis))
	})
}

// checkRows checks the result for each row of a file of plugins/smt/testdata: a pattern, the input, and Java's result.
func checkRows(t *testing.T, name string, result func(pattern, input string) string) {
	t.Helper()
	content, err := os.ReadFile("../../../plugins/smt/testdata/" + name)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	differences := 0
	for _, line := range lines {
		columns := strings.Split(line, "\t")
		got := result(columns[0], columns[1])
		if got == columns[2] {
			continue
		}
		differences++
		if differences < 30 {
			t.Errorf("%s of %s: expected %q, found %q", columns[0], columns[1], columns[2], got)
		}
	}
	t.Logf("%d of %d differ", differences, len(lines))
	assert.AtLeast(t, 500, len(lines), "lines")
}

// Any pattern is accepted or rejected. Times within one unit have the same text.
func FuzzDateFormat(f *testing.F) {
	f.Add("yyyyMMdd", int64(1709184496789))
	f.Add("YYYY-'W'ww-u h:mm a ''X''", int64(-62198755200000))
	f.Fuzz(func(t *testing.T, pattern string, millis int64) {
		if len(pattern) > 1000 {
			return
		}
		format, err := Parse(pattern)
		require.True(t, (format == nil) == (err != nil),
			"%q: expected a format or an error, found %v, %v", pattern, format, err)
		if format == nil {
			return
		}
		want := string(format.Append(nil, millis))
		unitStart := FloorDiv(millis, format.Unit) * format.Unit
		require.True(t, unitStart > millis || string(format.Append(nil, unitStart)) == want,
			"%q: expected the same text for %d and %d", pattern, unitStart, millis)
	})
}

// Texts are parsed as by java.text.SimpleDateFormat of OpenJDK 17 in UTC and Locale.US, whose results for patterns and
// texts are in parses.tsv.
func TestParsesDatesLikeJava(t *testing.T) {
	checkRows(t, "parses.tsv", func(pattern, input string) string {
		var text string
		require.NoError(t, json.Unmarshal([]byte(input), &text), input)
		f, err := Parse(pattern)
		if err != nil {
			return "fails: " + err.Error()
		}
		p := Parser{Format: f}
		millis, _, ok := p.Parse(text)
		if !ok {
			return "none"
		}
		return strconv.FormatInt(millis, 10)
	})
}

// Any text is parsed or rejected, and the full form of a parsed time is parsed as the same time.
func FuzzDateParse(f *testing.F) {
	f.Add("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2009-02-13T23:31:30.123+01:00", int64(1709184496789))
	f.Add("YYYY-'W'ww-u h:mm a", "2020-W53-7 12:00 PM", int64(-1))
	f.Add("yyyyMMdd", "-∞", int64(0))
	f.Fuzz(func(t *testing.T, pattern, text string, millis int64) {
		if len(pattern) > 200 || len(text) > 10_000 {
			return
		}
		if format, _ := Parse(pattern); format != nil {
			p := Parser{Format: format}
			first, _, ok := p.Parse(text)
			if again, _, okAgain := p.Parse(text); again != first || okAgain != ok {
				t.Fatalf("%q of %q: expected %d again, found %d", pattern, text, first, again)
			}
		}
		// yyyy does not distinguish years before Christ from later ones.
		millis = max(millis%(200_000_000*365*day), julianDays(1, 1, 1)*day)
		full := MustParse("yyyy-MM-dd HH:mm:ss.SSS")
		p := Parser{Format: full}
		if got, _, ok := p.Parse(string(full.Append(nil, millis))); !ok || got != millis {
			t.Fatalf("%d was formatted as %q and parsed as %d, %v", millis, full.Append(nil, millis), got, ok)
		}
	})
}
