package setting

import (
	"go/parser"
	"go/token"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// matchesWhole checks a pattern as the host does.
func matchesWhole(pattern, text string) bool {
	return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(text)
}

// The messages of Kafka's ConfigDef, recorded from Kafka Connect 4.3.1 if it has such a rule.
func TestCheck(t *testing.T) {
	spec := func(name string, kind wit.SettingKind, rules ...wit.Rule) wit.ConfigKey {
		return Define(name, kind, wit.High, nil, "", rules...)
	}
	for _, c := range []struct {
		spec  wit.ConfigKey
		value string
		// problem is the end of the message, or the whole message if it does not show the value as it was set. "" means
		// that the value is valid.
		problem string
	}{
		{spec: spec("tasks.max", wit.KindInt, AtLeast(1)), value: "0", problem: "Value must be at least 1"},
		{spec: spec("tasks.max", wit.KindInt, AtLeast(1)), value: "many", problem: "Not a number of type INT"},
		{spec: spec("tasks.max", wit.KindInt, AtLeast(1)), value: " 2 "},
		{spec: spec("batch.size", wit.KindInt), value: "", problem: "Not a number of type INT"},
		{spec: spec("batch.size", wit.KindInt), value: "1_000", problem: "Not a number of type INT"},
		{spec: spec("batch.size", wit.KindInt), value: "0x10", problem: "Not a number of type INT"},
		{spec: spec("batch.size", wit.KindInt), value: "+7"},
		{spec: spec("s", wit.KindShort), value: "32768", problem: "Not a number of type SHORT"},
		{spec: spec("l", wit.KindLong), value: "9223372036854775808", problem: "Not a number of type LONG"},
		{spec: spec("l", wit.KindLong, AtMost(1<<62)), value: "4611686018427387905",
			problem: "Value must be no more than 4611686018427387904"},
		{spec: spec("d", wit.KindDouble, AtMost(5)), value: "5.5", problem: "Value must be no more than 5"},
		{spec: spec("d", wit.KindDouble), value: "NaN", problem: "Not a number of type DOUBLE"},
		{spec: spec("d", wit.KindDouble), value: "-Inf", problem: "Not a number of type DOUBLE"},
		{spec: spec("d", wit.KindDouble), value: "1e3"},
		{spec: spec("b", wit.KindBoolean), value: "yes", problem: "Expected value to be either true or false"},
		{spec: spec("b", wit.KindBoolean), value: "TRUE"},
		{spec: spec("b", wit.KindBoolean), value: "0"},
		{spec: spec("errors.tolerance", wit.KindString, Allowed("none", "all")), value: "some",
			problem: "String must be one of: none, all"},
		{spec: spec("errors.tolerance", wit.KindString, Allowed("none", "all")), value: "ALL"},
		{spec: spec("store", wit.KindString, Allowed("jks", "pem"), Role("tls.keystore.type")), value: "JKS",
			problem: "String must be one of: jks, pem"},
		{spec: spec("list", wit.KindList, Allowed("a", "b")), value: "a, c",
			problem: "Invalid value c for configuration list: String must be one of: a, b"},
		{spec: spec("list", wit.KindList, Allowed("a", "b")), value: ""},
		{spec: spec("topic", wit.KindString, Required()), value: "  ",
			problem: "Invalid value  for configuration topic: String must be non-empty"},
		{spec: spec("topic", wit.KindString, Topic()), value: "a b",
			problem: "String must match the regular expression [a-zA-Z0-9._-]{1,249}"},
		{spec: spec("topic", wit.KindString, Topic()), value: ""},
		{spec: spec("n", wit.KindString, AtLeast(1)), value: "0", problem: "Value must be at least 1"},
		{spec: spec("n", wit.KindString, AtLeast(1)), value: "word"},
		{spec: spec("pw", wit.KindPassword, Allowed("x")), value: "hunter2",
			problem: "Invalid value [hidden] for configuration pw: String must be one of: x"},
		{spec: spec("e", wit.KindInt), value: "a\x1b[2Jb\nc",
			problem: `Invalid value "a\x1b[2Jb\nc" for configuration e: Not a number of type INT`},
	} {
		want := c.problem
		if want != "" && !strings.HasPrefix(want, "Invalid value ") {
			want = "Invalid value " + c.value + " for configuration " + c.spec.Name + ": " + c.problem
		}
		got := (Check{Matches: matchesWhole}).Value(&c.spec, c.value)
		assert.True(t, got == want, "%s=%s: expected %q, found %q", c.spec.Name, c.value, want, got)
	}
	secret := spec("n", wit.KindInt)
	if got := (Check{Secret: true}).Value(&secret, "hunter2"); strings.Contains(got, "hunter2") || got == "" {
		t.Errorf("%q contains a secret", got)
	}
	topic := spec("t", wit.KindString, Topic())
	if got := (Check{}).Value(&topic, "a b"); got != "" {
		t.Errorf("unexpected message without Matches: %q", got)
	}
}

// table returns a table with a template, an alias, groups and unsupported settings.
func table() *Table {
	t := &Table{Prefixes: []string{"shop.", "shop#"}}
	t.Declare(Define("shop.mode", wit.KindString, wit.High, Default("one"), "", Allowed("one", "two"),
		Alias("shop.old-mode")),
		Define("shop.size", wit.KindInt, wit.High, Default("5"), "", AtLeast(1)),
		Define("shop#{n}.name", wit.KindString, wit.High, nil, "", Required(), InGroup("Set {n}")),
		Define("shop#{n}.size", wit.KindInt, wit.High, nil, "", AtLeast(1)),
		Define("shop#{n}.part#{m}.low", wit.KindString, wit.High, nil, ""),
		Define("shop.header.{name}", wit.KindPassword, wit.High, nil, "", Role("http.header.{name}")),
		Define("shop.list", wit.KindList, wit.High, nil, ""),
		Define("shop.wait.ms", wit.KindLong, wit.High, Default("1500"), ""))
	t.DeclareUnsupported(Define("shop.secret", wit.KindPassword, wit.Low, nil, "x."))
	t.DeclareUnsupported(Define("shop.enable", wit.KindString, wit.Low, nil, "x."), "0")
	t.SupportOnly("shop.mode", "one")
	return t
}

// settingsOf returns settings of lines name=value.
func settingsOf(lines ...string) []wit.Setting {
	var list []wit.Setting
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	return list
}

// Validate reports misspelt, missing, invalid and unsupported settings. It instantiates templates with their numbers.
func TestExamine(t *testing.T) {
	for _, c := range []struct {
		settings string
		setting  string // of the first error. "" means that there is no error.
		message  string
	}{
		{settings: "shop.mode=ONE shop#00.name=x shop.enable=0"},
		{settings: "shop.old-mode=three", setting: "shop.mode",
			message: "Invalid value three for configuration shop.mode: String must be one of: one, two"},
		{settings: "shop#7.name=x shop#007.name=y"},
		{settings: "shop.mode=two", setting: "shop.mode",
			message: "Value two for configuration shop.mode is not built yet; built: one"},
		{settings: "shop.mode=three", setting: "shop.mode",
			message: "Invalid value three for configuration shop.mode: String must be one of: one, two"},
		{settings: "shop#00.size=5", setting: "shop#00.name",
			message: "Missing required configuration \"shop#00.name\" which has no default value."},
		{settings: "shop#00.name=x shop#00.size=0", setting: "shop#00.size",
			message: "Invalid value 0 for configuration shop#00.size: Value must be at least 1"},
		{settings: "shop.secret=hush", setting: "shop.secret",
			message: "Value [hidden] for configuration shop.secret is not built yet; leave the setting out"},
		{settings: "shop.enable=1", setting: "shop.enable",
			message: "Value 1 for configuration shop.enable is not built yet; built: 0"},
		{settings: "shop.moed=one", setting: "shop.moed",
			message: "unknown setting; the nearest known one is shop.mode"},
		{settings: "shop#01.nmae=one", setting: "shop#01.name", message: "Missing required"},
		{settings: "shop#0001.name=one", setting: "shop#0001.name",
			message: "unknown setting; the nearest known one is"},
		{settings: "shop#01.name=x shop#01.part#02.low=1"},
		{settings: "shop#01.name=x shop#01.part#02.high=1", setting: "shop#01.part#02.high",
			message: "unknown setting"},
		{settings: "shop.header.X-Key=k"},
		{settings: "transforms=x name=y"},
	} {
		setting := ""
		message := ""
		if f := FirstError(table().Validate(settingsOf(strings.Fields(c.settings)...))); f != nil {
			setting = *f.Setting
			message = f.Message
		}
		if setting != c.setting || !strings.HasPrefix(message, c.message) || (c.message == "") != (message == "") {
			t.Errorf("%s: expected %s: %s, found %s: %s", c.settings, c.setting, c.message, setting, message)
		}
	}
	for _, e := range table().Validate(settingsOf("shop#07.name=x", "shop.header.X=y")) {
		switch e.Key.Name {
		case "shop#07.name":
			if *e.Key.Rules[1].Group != "Set 07" {
				t.Errorf("unexpected group %s", *e.Key.Rules[1].Group)
			}
		case "shop.header.X":
			if e.Key.Role() != "http.header.X" {
				t.Errorf("unexpected role %s", e.Key.Role())
			}
		}
		assert.True(t, !IsTemplate(e.Key.Name), "%s is among the validated settings", e.Key.Name)
	}
}

// Values are read by their kinds, with defaults, aliases and groups.
func TestValues(t *testing.T) {
	v := table().Values(settingsOf("shop.size=7", "shop.size=8", "shop#01.size= 9 ", "shop#2.name=x",
		"shop.list=a,, b ", "shop.old-mode=TWO"))
	got := []any{v.Int("shop.size"), v.Lower("shop.mode"), v.List("shop.list"), v.Duration("shop.wait.ms"),
		v.String("shop.none"), v.Bool("shop.size")}
	if diff := cmp.Diff([]any{8, "two", []string{"a", "b"}, 1500 * time.Millisecond, "", false}, got); diff != "" {
		t.Error(diff)
	}
	var groups []string
	for _, g := range v.Groups("shop#{n}.", "shop.") {
		groups = append(groups, g.Digits+":"+strconv.Itoa(g.Int("size"))+":"+g.Source("size")+":"+g.String("name")+":"+
			g.Name("name"))
	}
	wantGroups := []string{"01:9:shop#01.size::shop#01.name", "2:8:shop.size:x:shop#2.name"}
	if diff := cmp.Diff(wantGroups, groups); diff != "" {
		t.Error(diff)
	}
	if g := table().Values(settingsOf("shop#0.name=x")).Groups("shop#{n}.", "shop."); len(g) != 1 ||
		g[0].Int("size") != 5 {
		t.Errorf("expected the default, found %v", g)
	}
}

// A name finds its declaration directly, by an alias or by a template.
func TestFind(t *testing.T) {
	d := table()
	for name, want := range map[string]string{
		"shop.mode":          "shop.mode",
		"shop.old-mode":      "shop.mode",
		"shop#1.part#22.low": "shop#1.part#22.low",
		"shop.header.X":      "shop.header.X",
		"shop.header.":       "",
		"shop.header.a\nb":   "",
		"shop#.name":         "",
		"shop#1234.name":     "",
		"shop#{n}.name":      "",
		"other":              "",
	} {
		key, ok := d.Find(name)
		assert.True(t, key.Name == want && ok == (want != ""), "%s: expected %q, found %q, %v", name, want, key.Name,
			ok)
	}
	got := len(d.Matching("shop.header.X"))
	assert.True(t, got == 1, "expected one declaration, found %d", got)
	numbered := &Table{Prefixes: []string{"x#{n}."}}
	p := numbered.Prefix("x#12.a")
	assert.True(t, p == "x#{n}.", "unexpected prefix %q", p)
}

// The nearest declared name is suggested for a misspelt one.
func TestNearest(t *testing.T) {
	d := table()
	for name, want := range map[string]string{
		"shop.mdoe":      "shop.mode",
		"shop#12.nmae":   "shop#12.name",
		"mode":           "shop.mode",
		"shop.heder.API": "shop.header.API",
		"wholly.other":   "",
		"shop.wiat.ms":   "shop.wait.ms",
	} {
		got := d.Nearest(name)
		assert.True(t, got == want, "%s: expected %q, found %q", name, want, got)
	}
	g := Suggester{Table: d, Budget: 10}
	near := g.Nearest("shop.mdoe")
	assert.True(t, near == "", "expected no suggestion for too long a name, found %s", near)
}

// A name with any one byte edited is found. The distance equals the result of a plain table of all pairs, and is
// symmetric and bounded.
func TestDistanceProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, r.IntN(9))
		for i := range b {
			b[i] = "abc."[r.IntN(4)]
		}
		return string(b)
	}
	for range 20_000 {
		a := word()
		b := word()
		d := Distance(a, b)
		if d != Distance(b, a) || d > max(len(a), len(b)) || d < max(len(a)-len(b), len(b)-len(a)) ||
			(d == 0) != (a == b) {
			t.Fatalf("%q %q: %d, %d", a, b, d, Distance(b, a))
		}
		if w := distanceWithin(a, b, 3); (d < 3 && w != d) || (d >= 3 && w < 3) {
			t.Fatalf("%q %q: expected the distance %d within 3, found %d", a, b, d, w)
		}
	}
}

// Every declared name, created from a template with any numbers, is found under its template, and is not reported as
// unknown.
func TestTemplateProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	d := table()
	for range 5_000 {
		key := d.Keys()[r.IntN(len(d.Keys()))]
		numbers := []string{strconv.Itoa(r.IntN(1000)), strconv.Itoa(r.IntN(1000))}
		name := fillTemplate(key.Name, numbers, "N"+numbers[0])
		found, ok := d.Find(name)
		require.True(t, ok && found.Name == name, "%s of %s: found %q", name, key.Name, found.Name)
		for _, e := range d.Validate([]wit.Setting{{Name: name, Value: "1"}}) {
			if e.Key.Name == name && slices.ContainsFunc(e.Errors, func(s string) bool {
				return strings.HasPrefix(s, "Unknown")
			}) {
				t.Fatalf("%s: %v", name, e.Errors)
			}
		}
	}
}

var anyPlaceholder = regexp.MustCompile(`\{[a-z]+\}`)

// expressionOf returns the regular expression for names that a template with placeholders matches.
func expressionOf(name string) *regexp.Regexp {
	text := strings.ReplaceAll(regexp.QuoteMeta(name), regexp.QuoteMeta(anyName), "(.+)")
	return regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(text, "([0-9]{1,3})"))
}

// placeholderTexts returns the texts of the placeholders in a name, or nil if the template does not match it.
func placeholderTexts(template, name string) (texts []string) {
	var values []string
	if !compareNames(template, name, false, &values) {
		return nil
	}
	texts = []string{}
	for i := 1; i < len(values); i += 2 {
		texts = append(texts, values[i])
	}
	return texts
}

// TestTemplatesMatchLikeExpressions compares templates with regular expressions, for names and keys made of the
// same few pieces.
func TestTemplatesMatchLikeExpressions(t *testing.T) {
	pieces := []string{"shop#", "{n}", "{m}", "{name}", ".", "0", "12", "345", "a", "é", "\n", "\xff", "{", "}", "{N}",
		""}
	random := rand.New(rand.NewPCG(1, 2))
	randomName := func(maxPieces int) string {
		var text strings.Builder
		for range random.IntN(maxPieces + 1) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		return text.String()
	}
	matched := 0
	for range 200_000 {
		name := randomName(5)
		placeholders := anyPlaceholder.FindAllString(name, -1)
		hasTwice := len(placeholders) == 2 && placeholders[0] == placeholders[1]
		if len(placeholders) > 2 || hasTwice || !strings.Contains(name, "{") || strings.Contains(name, "\xff") {
			continue // no plugin with such a name is loaded
		}
		key := randomName(6)
		if random.IntN(2) == 0 {
			key = anyPlaceholder.ReplaceAllStringFunc(name, func(string) string { return randomName(2) })
		}
		prefix := expressionOf(name)
		complete := regexp.MustCompile(expressionOf(name).String() + "$")
		var want []string
		if groups := complete.FindStringSubmatch(key); groups != nil {
			want = groups[1:]
			matched++
		}
		if got := placeholderTexts(name, key); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Fatalf("%q matches %q with %q, expected %q", name, key, got, want)
		}
		if got, want := hasTemplatePrefix(name, key), prefix.MatchString(key); got != want {
			t.Fatalf("%q begins %q: %v, expected %v", name, key, got, want)
		}
	}
	require.True(t, matched >= 1000, "expected more matching keys, found %d", matched)
}

// FuzzTemplate compares templates with regular expressions.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"shop#12.part#3.low", "shop#0001.name", "shop.header.{name}", "shop#{n}.name",
		"shop.header.", "shop#1.2.x", "x12"} {
		f.Add(s)
	}
	templates := []string{"shop#{n}.name", "shop#{n}.part#{m}.low", "shop.header.{name}", "{n}.x", "x{n}", "plain",
		"{N}.{}", "{n", "a{name}b"}
	var expressions []*regexp.Regexp
	for _, template := range templates {
		expressions = append(expressions, regexp.MustCompile(expressionOf(template).String()+"$"))
	}
	f.Fuzz(func(t *testing.T, name string) {
		for i, template := range templates {
			want := expressions[i].MatchString(name)
			got := matches(template, name)
			assert.True(t, got == want, "%s for %q: expected a match: %v, found %v", template, name, want, got)
		}
		for _, n := range numbersIn(name) {
			assert.True(t, len(n) <= maxDigits && leadingDigits(n) == len(n), "number %q in %q", n, name)
		}
	})
}

// FuzzCheck: for any settings, no message contains a password, each message is one line, and a valid number is parsed
// as one.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"", "0", "-1", "9223372036854775808", "1e400", "nan", "true", "a,b,,", "\x00", "a\nb",
		"shop#1.name"} {
		f.Add("shop.size", s)
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		for kind := wit.KindString; kind <= wit.KindClass; kind++ {
			key := Define("x", kind, wit.High, nil, "", Allowed("a", "1"), AtLeast(0), AtMost(10))
			text := Check{}.Value(&key, value)
			assert.True(t, !strings.ContainsAny(text, "\n\r\x00\x1b"), "kind %d: %q", kind, text)
			n, ok := ParseInt(kind, value)
			assert.True(t, text != "" || kind != wit.KindInt || (ok && n >= 0 && n <= 10), "%q is accepted", value)
			if text := (Check{Secret: true}).Value(&key, value); len(value) > 30 && strings.Contains(text, value) {
				t.Errorf("%q contains a secret", text)
			}
		}
		config := []wit.Setting{{Name: name, Value: value}}
		table().Validate(config)
		v := table().Values(config)
		v.String(name)
		v.Int(name)
		v.Groups("shop#{n}.", "shop.")
	})
}

// TestGuestSafe: the package is part of every plugin, so it does not import packages that would be larger than itself.
func TestGuestSafe(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	allowed := []string{"cmp", "math", "slices", "strconv", "strings", "sync/atomic", "time", "unicode", "unicode/utf8",
		"github.com/culvert-project/culvert/wit", "github.com/culvert-project/culvert/internal/java"}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range parsed.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			assert.True(t, slices.Contains(allowed, path), "%s imports %s", file, path)
		}
	}
}

// Durations in milliseconds are limited to a hundred years.
func TestMilliseconds(t *testing.T) {
	table := NewTable(Define("wait.ms", wit.KindLong, wit.Low, nil, "How long."))
	for text, want := range map[string]time.Duration{
		"0": 0, "1500": 1500 * time.Millisecond, "-1": -time.Millisecond,
		"9223372036854775807": 100 * 365 * 24 * time.Hour, "9223372036854776": 100 * 365 * 24 * time.Hour,
		"-9223372036854775808": -100 * 365 * 24 * time.Hour,
	} {
		found := table.Values([]wit.Setting{{Name: "wait.ms", Value: text}}).Duration("wait.ms")
		assert.True(t, found == want, "%s: expected %v, found %v", text, want, found)
	}
}

// With many settings, the last value of a repeated name counts, and groups are in order, as with few.
func TestManyValues(t *testing.T) {
	table := NewTable(wit.ConfigKey{Name: "shop#{n}.name"}, wit.ConfigKey{Name: "shop#{n}.part#{m}.low"})
	var config []wit.Setting
	for n := 199; n >= 0; n-- {
		config = append(config, wit.Setting{Name: "shop#" + strconv.Itoa(n) + ".name",
			Value: " " + strconv.Itoa(n) + " "})
	}
	config = append(config, wit.Setting{Name: "shop#7.name", Value: "again"},
		wit.Setting{Name: "shop#8.part#3.low", Value: "low"})
	v := table.Values(config)
	for name, want := range map[string]string{"shop#7.name": "again", "shop#8.name": "8", "shop#8.part#3.low": "low",
		"shop#200.name": ""} {
		found := v.String(name)
		assert.True(t, found == want, "%s: expected %q, found %q", name, want, found)
	}
	_, ok := v.Lookup("shop#200.name")
	assert.True(t, !ok, "found a setting that was not set")
	groups := v.Groups("shop#{n}.", "")
	inOrder := func(a, b Group) int { return strings.Compare(a.Digits, b.Digits) }
	assert.True(t, len(groups) == 200 && slices.IsSortedFunc(groups, inOrder), "expected 200 groups in order, found %d",
		len(groups))
}

// A value that is too long to be read is not shown, not even in part.
func TestLongValuesAreCounted(t *testing.T) {
	for length, want := range map[int]string{
		maxQuoted:     "Invalid value " + strings.Repeat("é", maxQuoted) + " for configuration a: wrong",
		maxQuoted + 1: "Invalid value of 1001 characters for configuration a: wrong",
	} {
		got := Invalid("a", strings.Repeat("é", length), "wrong")
		assert.True(t, got == want, "%d characters: expected %q, found %q", length, want, got)
	}
}

// The search for the nearest names of unknown settings is bounded: settings beyond the bound are still reported as
// unknown.
func TestNearestNamesOfManyAreBounded(t *testing.T) {
	long := "shop." + strings.Repeat("n", 990)
	table := NewTable(wit.ConfigKey{Name: long})
	table.Prefixes = []string{"shop."}
	for many, want := range map[int]string{10: long, 300: ""} {
		var config []wit.Setting
		for n := range many {
			config = append(config, wit.Setting{Name: long + strconv.Itoa(n)})
		}
		values := table.Validate(config)[1:]
		first := values[0].Errors
		last := values[len(values)-1].Errors
		if len(values) != many || !slices.Equal(first, []string{Unknown(long)}) ||
			!slices.Equal(last, []string{Unknown(want)}) {
			t.Errorf("of %d names: expected the last to be near %.10q, found %d, %.60q and %.60q", many, want,
				len(values), first, last)
		}
	}
}

// A long name is examined up to a bound: the time for it must not grow with the square of its length.
func TestLongNamesAreExaminedUpToABound(t *testing.T) {
	digits := strings.Repeat("7", 900_000)
	if n := len(numbersIn(digits)); n > maxPlaceholders {
		t.Errorf("expected at most %d numbers of a name, found %d", maxPlaceholders, n)
	}
	if n := leadingDigits(digits); n != maxDigits+1 {
		t.Errorf("expected to see %d digits, found %d", maxDigits+1, n)
	}
	table := NewTable(Define("shop#{n}.table", wit.KindString, wit.High, nil, ""),
		Define("shop.header.{name}", wit.KindString, wit.High, nil, ""),
		Define("shop.{name}.x.{name}.y", wit.KindString, wit.High, nil, ""))
	table.Prefixes = []string{"shop#{n}.", "shop.{name}."}
	longest := "shop.header." + strings.Repeat("h", maxTemplateName-len("shop.header."))
	for name, want := range map[string]bool{longest: true, longest + "h": false, "shop#" + digits + ".table": false,
		"shop." + strings.Repeat(".x", 400_000) + "\n.y": false} {
		_, ok := table.Find(name)
		assert.True(t, ok == want, "%.40s… of %d bytes: expected %v, found %v", name, len(name), want, ok)
		setting := wit.Setting{Name: name, Value: "1"}
		allocated := testing.AllocsPerRun(1, func() { table.Validate([]wit.Setting{setting}) })
		assert.True(t, allocated <= 100, "%.40s… of %d bytes: expected at most 100 allocations, found %v", name,
			len(name), allocated)
	}
	near := "shop.heder." + strings.Repeat("h", maxTemplateName-len("shop.heder."))
	if found := table.Nearest(near); !strings.HasPrefix(found, "shop.header.h") {
		t.Errorf("expected the nearest name of %.40s…, found %.40q", near, found)
	}
	if found := table.Nearest(near + "h"); found != "" {
		t.Errorf("expected no nearest name of a longer one, found %.40q", found)
	}
}
