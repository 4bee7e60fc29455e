package host

import (
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
)

// outsideTheTable are constants that are named like bounds but do not limit a plugin, a service or a file, with the
// reason.
var outsideTheTable = map[string]string{
	"abi.maxFlat":                "the canonical ABI's",
	"canon.maxFlat":              "the canonical ABI's",
	"connectdata.maxNumber":      "the encoding's: the longest form of 64 bits",
	"connectdata.maxTree":        "where counting stops, far beyond the bounds that are counted for",
	"plugin.maxMemoryBytes":      "WebAssembly's: 65,536 pages; the setting's range",
	"plugin.maxCallMs":           "a setting's range",
	"binary.maxSegments":         "how many segments are made of more; the meter bounds what there may be",
	"binary.maxGap":              "between segments that are joined: what that may waste",
	"kafka.MaxCommitText":        "what offset and topic leave of MaxCommitMetadata",
	"connectjson.maxDigits":      "what is read",
	"code.maxCachedBytes":        "files of our own cache",
	"plugin.maxLineBytes":        "what is kept of a guest's output; the rest is cut",
	"plugin.maxOutputBytes":      "what is kept of a guest's output; the rest is cut",
	"plugin.maxPanicChars":       "what is told",
	"source.maxChunkRecords":     "when a chunk is passed on",
	"source.maxPause":            "a pause",
	"source.maxPrefetch":         "requests side by side, within those of the service",
	"source.maxSnapshots":        "asked for by an operator",
	"sink.maxInDoubt":            "of our own metadata, which Kafka bounds",
	"sink.maxAhead":              "of our own metadata, which Kafka bounds",
	"sink.maxRetryWait":          "a pause",
	"sink.maxTopics":             "what is kept to be told",
	"sink.maxListedRecords":      "what is told",
	"sink.maxShownKey":           "what is told",
	"sink.maxBatchBytes":         "when a batch is full",
	"sink.maxActiveBytes":        "when batches wait for one another",
	"console.maxAnswer":          "of our own REST",
	"console.maxBrief":           "what is told",
	"fields.maxChoices":          "what is told",
	"console.maxCacheTTL":        "how old a page may be",
	"console.maxForm":            "sent by an operator",
	"console.maxOffsets":         "what is told",
	"sampled.maxSampled":         "what is told",
	"console.maxSelected":        "asked for by an operator",
	"sampled.maxBrief":           "what is told",
	"sampled.maxTreeDepth":       "what is told",
	"sampled.maxTreeNodes":       "what is told",
	"console.maxCachedPages":     "pages that are kept for a second",
	"console.maxOutlines":        "hashes of pages",
	"console.maxAnswers":         "pages that are kept for a second",
	"rest.maxListLimit":          "asked for by an operator",
	"rest.maxBodyBytes":          "sent by an operator",
	"rest.maxHeaderBytes":        "sent by an operator",
	"fault.MaxQuoted":            "what is told",
	"btp.maxQuote":               "what is told",
	"btp.maxOutage":              "a setting's range",
	"btp.maxLifetime":            "how long a token is believed to live",
	"limits.maxWindow":           "a setting's range",
	"transport.maxWait":          "a pause",
	"transport.maxFreshRefusals": "how often a request is repeated",
	"transport.maxSecrets":       "how often a request is repeated",
	"cluster.maxFailures":        "how often a secret is tried",
	"tunnel.maxFetch":            "the protocol's: a version",
	"kafka.maxMillis":            "a setting's range",
	"socks.maxLocation":          "the protocol's: one byte of length, in base64",
	"connectivitytest.maxRecord": "of the double, for tests",
	"connectivitytest.maxLine":   "of the double, for tests",
	"connectivitytest.maxToken":  "of the double, for tests",
	"tunnel.maxRewritten":        "answers of the user's own brokers",
	"registry.maxMessageBytes":   "what is told",
	"registered.maxTopicIDs":     "what is kept to be used again",
	"connectjson.maxRecentNames": "what is kept to be used again",
	"source.maxRejectedCommits":  "how often a feed starts over",
	"registry.maxPause":          "a pause",
	"wire.maxResponseBytes":      "answers of the user's own brokers",
	"rest.maxVerified":           "what is kept to be used again",
	"rest.maxChecks":             "work at a time",
	"rest.maxValidations":        "work at a time",
	"btp.maxAnswer":              "answers of SAP BTP, which the user names",
	"pattern.maxNesting":         "a regular expression that the user wrote",
	"dateformat.maxYear":         "the years of Java's own calendar",
	"values.maxLiteralDepth":     "a setting that the user wrote",
	"route.maxHead":              "answers of the user's own proxy",
}

// boundsOfPlugins are the bounds in the built-in plugins and their SDK. For a bound whose results are limited by a
// bound of the host, the entry names the test that computes and compares them, or the host's bound, which must not be
// less. Other bounds have a reason: most limit what is read.
var boundsOfPlugins = map[string]string{
	"paging.maxEmptyPages":           "TestLargestPositionFits",
	"paging.maxUnreturned":           "TestLargestPositionFits",
	"paging.maxErrorHashes":          "TestLargestPositionFits",
	"paging.maxAttempts":             "TestLargestPositionFits",
	"paging.maxRecent":               "TestLargestPositionFits",
	"paging.maxTail":                 "TestLargestPositionFits",
	"paging.maxSeenBytes":            "TestLargestPositionOfACursorFits",
	"paging.maxLink":                 "TestOffsetsOfManyRowsAndLongLinks",
	"delta.MaxLostTokens":            "TestTokensLostAtOnce",
	"setting.maxDigits":              "TestValidationFitsHostLimit",
	"setting.maxComparisons":         "config.maxGuesses",
	"setting.maxPlaceholders":        "what is read",
	"setting.maxTemplateName":        "what is read",
	"edm.maxInherited":               "what is read",
	"odataerror.maxNameWords":        "what is read",
	"odataerror.maxLockedWords":      "what is read",
	"recommend.maxErrors":            "TestValidationErrorsAreBounded",
	"responses.maxStops":             "TestLargestHintFits",
	"responses.maxETag":              "TestLargestHintFits",
	"records.maxSplit":               "TestSplitsAreBounded",
	"records.maxItems":               "TestSplitsAreBounded",
	"document.MaxEntries":            "plugin.maxTriggers",
	"delta.maxHiddenBytes":           "wit.MaxOffsetBytes",
	"notifications.maxStoreEntities": "source.maxLinked",
	"notifications.maxStorePages":    "transport.maxRounds",
	"notifications.maxStoreBody":     "transport.maxBodies",
	"feedreader.maxMetadata":         "transport.maxBodies",
	"feedreader.MaxErrorBody":        "transport.maxBodies",
	"probe.MaxServices":              "transport.maxRequests",
	"probe.MaxRecommended":           "transport.maxRequests",
	"inspect.maxServices":            "transport.maxRequests",
	"transform.maxDeclared":          "schemas.maxDeclaredSchemas",
	"schemas.MaxDeclared":            "schemas.maxDeclaredSchemas",
	"schemas.MaxCached":              "schemas.maxDeclaredSchemas",
	"fields.maxFlatNames":            "transform.maxGrowth",
	"requests.maxBytes":              "sink.maxDeliveryBytes",
	"value.maxScale":                 "connectdata.MaxScale",
	"edm.MaxDepth":                   "connectdata.MaxSchemaDepth",
	"edm.maxNodes":                   "connectdata.MaxSchemaNodes",
	"decode.maxDepth":                "connectdata.MaxDepth",
	"decode.maxRow":                  "conversion.MaxDecodedBytes",

	"probe.MaxRecommendedBytes": "of one result, which the call's limit bounds",
	"smt/batch.MaxData":         "when a portion is passed on",
	"fastpath.maxMisses":        "which way rows go",
	"fastpath.maxHeaderTests":   "which way rows go",
	"records.maxKept":           "which way rows go",
	"decode.maxEmptyPages":      "what is read",
	"decode.maxErrorText":       "what is read",
	"decode.maxExponent":        "what is read",
	"batch.maxSame":             "which way lines go",
	"decode.maxOthers":          "TestMoreNamesThanAreKept",
	"decode.maxQuote":           "what is told",
	"decode.maxRoots":           "TestMoreNamesThanAreKept",
	"delta.maxWait":             "a pause",
	"sourceconfig.maxConfirm":   "a setting's range",
	"sourceconfig.maxPartition": "a setting's range",
	"sourceconfig.maxSeconds":   "a setting's range",
	"zone.maxOffset":            "a time zone's offset",
	"odataerror.maxNames":       "what is told",
	"odataerror.maxOptions":     "what is read",
	"odataerror.maxSearched":    "what is read",
	"odataerror.maxTransaction": "what is read",
	"feedreader.MaxPooled":      "what is kept to be used again",
	"feedreader.maxAbsent":      "what is kept to be used again",
	"feedreader.maxCompiled":    "what is kept to be used again",
	"feedreader.maxDerived":     "what is told",
	"internal/guest.maxSkip":    "when garbage is collected",
	"inspect.maxPeeked":         "asked for by an operator",
	"inspect.maxPages":          "more than the host's rounds",
	"inspect.maxShownAddress":   "of one message",
	"jsontext.maxDepth":         "what is read",
	"smt/kernel.MaxConverted":   "a number's length",
	"markup.maxDepth":           "what is read",
	"notifications.maxNested":   "what is read",
	"plugintest.maxExchanges":   "of tests",
	"query.maxSteps":            "a setting that the user wrote",
	"role.MaxConcurrent":        "a role's name",
	"role.MaxConnections":       "a role's name",
	"source.MaxPageBytes":       "what is read",
	"transform.maxExtensions":   "what is kept to be used again",
	"setting.maxQuoted":         "what is told",
	"value.maxDigits":           "what is read",
	"value.maxQuote":            "what is told",
	"value.maxSmallScale":       "which way values go",
	"requests.maxBuffer":        "what is allocated at once",
	"requests.maxFound":         "what is told",
	"encode.maxSchemas":         "what is kept to be used again",
	"requests.maxSizeHint":      "what is kept to be used again",

	"capabilities.maxConnectors": "what is kept to be used again",
}

// No bound of a plugin allows what a bound of the host rejects.
func TestPluginBoundsFitHostBounds(t *testing.T) {
	tests := testNames(t)
	own := packagesBelow(t, "../plugins", "../sdk/go")
	packages := packagesBelow(t, ".", "../internal", "../wit")
	number := func(packages map[string]string, name string) int {
		n, err := strconv.Atoi(bound(t, packages, name))
		require.NoError(t, err)
		return n
	}
	all := allBounds(t, own)
	for _, name := range all {
		against, ok := boundsOfPlugins[name]
		switch {
		case strings.HasPrefix(name, "meter."): // limits of modules, which every module meets
		case !ok:
			t.Errorf("expected the host's bound that %s meets, or its test, or a reason why it meets none", name)
		case strings.HasPrefix(against, "Test") && !tests[against]:
			t.Errorf("%s: expected the test %s to exist", name, against)
		case regexp.MustCompile(`^\w+\.[mM]ax\w+$`).MatchString(against):
			if plugin, host := number(own, name), number(packages, against); plugin > host {
				t.Errorf("expected %[3]s = %[4]d to be at least %[1]s = %[2]d", name, plugin, against, host)
			}
		}
	}
	for name := range boundsOfPlugins {
		if !slices.Contains(all, name) {
			t.Errorf("expected %s to be a constant of a plugin or the SDK", name)
		}
	}
	if seconds, most := number(own, "sourceconfig.maxConfirm"), number(packages,
		"source.maxRepeatDelay"); 1000*seconds > most {
		t.Errorf("expected the longest wake interval, %d s, within the host's longest wait, %d ms", seconds, most)
	}
}

// The bounds are in a table next to the tests. The reference page is generated from it and from the constants.
const (
	boundsTable = "testdata/bounds.tsv"
	boundsPage  = "../cmd/culvert/reference/bounds.md"
)

var update = flag.Bool("update", false, "write the reference's page of bounds")

// boundRow is a row of the table of bounds.
type boundRow struct {
	// the constant, or "" and its value
	name    string
	value   string
	test    string
	setting string
	what    string
}

// The table has every bound that a package of the host or of the contract exports, and the unexported constants that
// are named like bounds, except the listed ones. Each of its tests exists, and the reference page matches the code.
func TestTableOfBounds(t *testing.T) {
	tests := testNames(t)
	packages := packagesBelow(t, ".", "../internal", "../wit")
	named := map[string]bool{}
	page := strings.Builder{}
	page.WriteString("# Bounds\n\nThe size of everything that plugins, services and files pass to the host is " +
		"bounded. Larger input fails with a\nmessage that contains what was found. A setting next to a bound " +
		"changes it; other bounds are fixed.\n\n| bound | at most | setting | in the code |\n" +
		"| --- | --- | --- | --- |\n")
	for _, b := range boundsOf(t) {
		if !tests[b.test] {
			t.Errorf("%s: expected the test %s to exist", b.what, b.test)
		}
		if b.name != "" {
			b.value = bound(t, packages, b.name)
			named[b.name] = true
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", b.what, b.value, inCode(b.setting), inCode(b.name))
	}
	if *update {
		require.NoError(t, os.WriteFile(boundsPage, []byte(page.String()), 0o644))
	}
	if got, err := os.ReadFile(boundsPage); err != nil || string(got) != page.String() {
		t.Errorf("%s is not what the code has (%v): go test ./host -run TestTableOfBounds -update writes it",
			boundsPage, err)
	}
	all := allBounds(t, packages)
	for _, name := range all {
		if _, ok := outsideTheTable[name]; !named[name] && !ok {
			t.Errorf("expected %s = %s in the table of bounds (%s), with its test", name, bound(t, packages, name),
				boundsTable)
		}
	}
	for name := range outsideTheTable {
		if !slices.Contains(all, name) || named[name] {
			t.Errorf("expected %s to be a constant that is outside of the table", name)
		}
	}
}

// boundsOf reads the table.
func boundsOf(t *testing.T) (bounds []boundRow) {
	t.Helper()
	text, err := os.ReadFile(boundsTable)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("%s: expected four columns, found %q", boundsTable, line)
		}
		b := boundRow{name: f[0], test: f[1], setting: f[2], what: f[3]}
		if value, ok := strings.CutPrefix(b.name, "="); ok {
			b.name = ""
			b.value = value
		}
		bounds = append(bounds, b)
	}
	if len(bounds) < 130 {
		t.Fatalf("expected a table of bounds, found %d rows", len(bounds))
	}
	return bounds
}

func inCode(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// packagesBelow returns the folders of packages by package name.
func packagesBelow(t *testing.T, roots ...string) map[string]string {
	t.Helper()
	packages := map[string]string{}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return err
			}
			if e.Name() == "testdata" || e.Name() == "e2etest" || e.Name() == "odatatest" {
				return fs.SkipDir
			}
			name := e.Name()
			if packages[name] != "" {
				name = filepath.Base(filepath.Dir(path)) + "/" + name
			}
			packages[name] = path
			return nil
		})
		require.NoError(t, err)
	}
	return packages
}

// Names of bounds begin with the same word, so that a search finds all of them.
func TestNamesOfBoundsBeginWithMax(t *testing.T) {
	others := regexp.MustCompile(`^([Ll]argest|[Mm]ost|[Ll]ongest|[Dd]eepest|[Hh]ighest|[Bb]iggest)([A-Z]|$)|AtMost$`)
	for _, root := range []string{"../internal", "../wit", "../sdk", "../plugins", "../cmd"} {
		packages := packagesBelow(t, root)
		if len(packages) < 3 {
			t.Errorf("%s: expected several packages, found %d", root, len(packages))
		}
		for name, folder := range packages {
			for constant := range constants(t, folder) {
				if others.MatchString(constant) {
					t.Errorf("%s.%s: expected the name of a bound to begin with max", name, constant)
				}
			}
		}
	}
}

// allBounds returns the constants that are named like bounds, and the limits of the meter.
func allBounds(t *testing.T, packages map[string]string) (names []string) {
	t.Helper()
	bounds := regexp.MustCompile(`^[Mm]ax([A-Z]|$)`)
	for name, folder := range packages {
		for constant := range constants(t, folder) {
			if bounds.MatchString(constant) {
				names = append(names, name+"."+constant)
			}
		}
	}
	limits := reflect.TypeFor[meter.Limits]()
	for i := range limits.NumField() {
		names = append(names, "meter.Limits."+limits.Field(i).Name)
	}
	if len(names) < 40 {
		t.Errorf("expected to find the bounds in the code, found %d", len(names))
	}
	slices.Sort(names)
	return names
}

// bound returns the value of a constant, or the default of a limit of the meter. Times are in milliseconds.
func bound(t *testing.T, packages map[string]string, name string) string {
	t.Helper()
	if field, ok := strings.CutPrefix(name, "meter.Limits."); ok {
		v := reflect.ValueOf(meter.Defaults()).FieldByName(field)
		if !v.IsValid() {
			t.Errorf("%s is no limit", name)
			return ""
		}
		return fmt.Sprint(v.Int())
	}
	at, constantName, _ := strings.Cut(name, ".")
	if packages[at] == "" {
		t.Errorf("%s: its package does not exist", name)
		return ""
	}
	all := constants(t, packages[at])
	e := all[constantName]
	if e == nil {
		t.Errorf("%s is no constant", name)
		return ""
	}
	if product, ok := e.(*ast.BinaryExpr); ok {
		if other, ok := product.Y.(*ast.Ident); ok && all[other.Name] != nil {
			e = &ast.BinaryExpr{X: product.X, Op: product.Op, Y: all[other.Name]}
		}
	}
	return evaluated(t, e)
}

// constants returns the constants of the package in a folder.
func constants(t *testing.T, folder string) map[string]ast.Expr {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	found := map[string]ast.Expr{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				s := s.(*ast.ValueSpec)
				for n, ident := range s.Names {
					if n < len(s.Values) {
						found[ident.Name] = s.Values[n]
					}
				}
			}
		}
	}
	return found
}

// evaluated evaluates a constant expression of numbers and time units.
func evaluated(t *testing.T, e ast.Expr) string {
	t.Helper()
	text := types.ExprString(e)
	isTime := strings.Contains(text, "time.")
	for unit, d := range map[string]time.Duration{"time.Millisecond": time.Millisecond, "time.Second": time.Second,
		"time.Minute": time.Minute} {
		text = strings.ReplaceAll(text, unit, fmt.Sprint(d.Milliseconds()))
	}
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, text)
	if err != nil || v.Value == nil {
		t.Errorf("%s: expected numbers and units (time: %v), found %v", text, isTime, err)
		return ""
	}
	return constant.ToInt(v.Value).ExactString()
}

// testNames returns the names of all tests of the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, root := range []string{".", "../internal", "../wit", "../cmd", "../plugins"} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range function.FindAllSubmatch(text, -1) {
				names[string(m[1])] = true
			}
			return err
		})
		require.NoError(t, err)
	}
	return names
}
