package dateformat

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The file contains the results of java.text.SimpleDateFormat of OpenJDK 17 for patterns and times, in UTC and
// Locale.US.
func TestFormatsDatesLikeJava(t *testing.T) {
	text, err := os.ReadFile("../../../plugins/smt/testdata/dates.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	differ := 0
	for _, line := range lines {
		parts := strings.Split(line, "\t")
		at, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(parts[0])
		got := ""
		if err != nil {
			got = "fails: " + err.Error()
		} else {
			got = string(f.Append(nil, at))
		}
		if got != parts[2] {
			differ++
			if differ < 30 {
				t.Errorf("%s of %d: expected %q, found %q", parts[0], at, parts[2], got)
			}
		}
	}
	t.Logf("%d of %d differ", differ, len(lines))
	if len(lines) < 500 {
		t.Errorf("expected more lines, found %d", len(lines))
	}
}

// Any pattern is accepted or rejected. Times within one unit have the same text.
func FuzzDateFormat(f *testing.F) {
	f.Add("yyyyMMdd", int64(1709184496789))
	f.Add("YYYY-'W'ww-u h:mm a ''X''", int64(-62198755200000))
	f.Fuzz(func(t *testing.T, pattern string, at int64) {
		if len(pattern) > 1000 {
			return
		}
		format, err := Parse(pattern)
		if (format == nil) != (err != nil) {
			t.Fatalf("%q: %v, %v", pattern, format, err)
		}
		if format == nil {
			return
		}
		one := string(format.Append(nil, at))
		if begin := FloorDiv(at, format.Unit) * format.Unit; begin <= at && string(format.Append(nil, begin)) != one {
			t.Fatalf("%q: expected the same text for %d and %d", pattern, begin, at)
		}
	})
}

// The file contains what java.text.SimpleDateFormat of OpenJDK 17 parses from texts, in UTC and Locale.US.
func TestParsesDatesLikeJava(t *testing.T) {
	text, err := os.ReadFile("../../../plugins/smt/testdata/parses.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	differ := 0
	for _, line := range lines {
		parts := strings.Split(line, "\t")
		var text string
		if err := json.Unmarshal([]byte(parts[1]), &text); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		f, err := Parse(parts[0])
		got := ""
		if err != nil {
			got = "fails: " + err.Error()
		} else {
			got = "none"
			p := Parser{Format: f}
			if at, _, ok := p.Parse(text); ok {
				got = strconv.FormatInt(at, 10)
			}
		}
		if got != parts[2] {
			differ++
			if differ < 30 {
				t.Errorf("%s of %q: expected %q, found %q", parts[0], text, parts[2], got)
			}
		}
	}
	t.Logf("%d of %d differ", differ, len(lines))
	if len(lines) < 500 {
		t.Errorf("expected more lines, found %d", len(lines))
	}
}

// Any text is parsed or rejected, and the full form of a parsed time is parsed as the same time.
func FuzzDateParse(f *testing.F) {
	f.Add("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2009-02-13T23:31:30.123+01:00", int64(1709184496789))
	f.Add("YYYY-'W'ww-u h:mm a", "2020-W53-7 12:00 PM", int64(-1))
	f.Add("yyyyMMdd", "-∞", int64(0))
	f.Fuzz(func(t *testing.T, pattern, text string, at int64) {
		if len(pattern) > 200 || len(text) > 10_000 {
			return
		}
		if format, _ := Parse(pattern); format != nil {
			p := Parser{Format: format}
			first, _, ok := p.Parse(text)
			if again, _, okAgain := p.Parse(text); again != first || okAgain != ok {
				t.Fatalf("%q of %q: %d, then %d", pattern, text, first, again)
			}
		}
		at = max(at%(200_000_000*365*day), julianDays(1, 1, 1)*day) // yyyy does not distinguish years before Christ
		full := MustParse("yyyy-MM-dd HH:mm:ss.SSS")
		p := Parser{Format: full}
		if got, _, ok := p.Parse(string(full.Append(nil, at))); !ok || got != at {
			t.Fatalf("%d was formatted as %q and parsed as %d, %v", at, full.Append(nil, at), got, ok)
		}
	})
}
