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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
)

// outsideTheTable are constants that are named like bounds but do not limit a plugin, a service or a file, with the
// reason.
var outsideTheTable = map[string]string{
	"abi.maxFlat":                "a limit of the canonical ABI",
	"canon.maxFlat":              "a limit of the canonical ABI",
	"connectdata.maxNumber":      "a limit of the encoding: the longest form of 64 bits",
	"connectdata.maxTree":        "where counting stops, above all bounds",
	"plugin.maxMemoryBytes":      "a limit of WebAssembly, 65,536 pages, and a setting's range",
	"plugin.maxCallMs":           "a setting's range",
	"binary.maxSegments":         "to how many segments others are joined; the meter bounds their number",
	"binary.maxGap":              "the bytes that joining two segments may waste",
	"kafka.MaxCommitText":        "the part of MaxCommitMetadata without offset and topic",
	"connectjson.maxDigits":      "the size of an input",
	"code.maxCachedBytes":        "the size of a cache of files",
	"plugin.maxLineBytes":        "the part of a guest's output that is kept",
	"plugin.maxOutputBytes":      "the part of a guest's output that is kept",
	"plugin.maxPanicChars":       "the size of a message or page",
	"source.maxChunkRecords":     "when a chunk is passed on",
	"source.maxPause":            "a pause",
	"source.maxPrefetch":         "concurrent requests, within the limit of the service",
	"source.maxSnapshots":        "requested by an operator",
	"cluster.maxFormer":          "a limit of our own messages",
	"sink.maxInDoubt":            "our own metadata, which Kafka bounds",
	"sink.maxAhead":              "our own metadata, which Kafka bounds",
	"sink.maxRetryWait":          "a pause",
	"sink.maxTopics":             "how much is kept for a message",
	"sink.maxListedRecords":      "the size of a message or page",
	"sink.maxShownKey":           "the size of a message or page",
	"sink.maxBatchBytes":         "when a batch is full",
	"sink.maxActiveBytes":        "when batches wait for one another",
	"console.maxAnswer":          "a limit of our own REST API",
	"console.maxBrief":           "the size of a message or page",
	"console.maxProposals":       "the size of a message or page",
	"console.maxCacheTTL":        "the age of a page",
	"console.maxForm":            "sent by an operator",
	"console.maxOffsets":         "the size of a message or page",
	"console.maxSampled":         "the size of a message or page",
	"console.maxSelected":        "requested by an operator",
	"console.maxCacheBytes":      "the size of a cache",
	"console.maxCachedPages":     "the size of a cache",
	"console.maxOutlines":        "the size of a cache of hashes",
	"console.maxAnswers":         "the size of a cache",
	"rest.maxListLimit":          "requested by an operator",
	"rest.maxBodyBytes":          "sent by an operator",
	"rest.maxHeaderBytes":        "sent by an operator",
	"fault.MaxQuoted":            "the size of a message or page",
	"btp.maxQuote":               "the size of a message or page",
	"btp.maxOutage":              "a setting's range",
	"btp.maxLifetime":            "the assumed lifetime of a token",
	"limits.maxWindow":           "a setting's range",
	"transport.maxWait":          "a pause",
	"transport.maxFreshRefusals": "how often a request is repeated",
	"transport.maxSecrets":       "how often a request is repeated",
	"cluster.maxFailures":        "how often a secret is tried",
	"tunnel.maxFetch":            "a version of the protocol",
	"kafka.maxMillis":            "a setting's range",
	"socks.maxLocation":          "a limit of the protocol: one byte of length, in base64",
	"connectivitytest.maxRecord": "a limit of a test server",
	"connectivitytest.maxLine":   "a limit of a test server",
	"connectivitytest.maxToken":  "a limit of a test server",
	"tunnel.maxRewritten":        "answers of the user's own brokers",
	"registry.maxMessageBytes":   "the size of a message or page",
	"conversion.maxTopicIDs":     "the size of a cache",
	"connectjson.maxRecentNames": "the size of a cache",
	"source.maxRejectedCommits":  "how often a feed starts over",
	"registry.maxPause":          "a pause",
	"registry.maxLag":            "a pause",
	"security.maxResponseBytes":  "answers of the user's own brokers",
	"rest.maxVerified":           "the size of a cache",
	"rest.maxChecks":             "the amount of concurrent work",
	"rest.maxValidations":        "the amount of concurrent work",
	"btp.maxAnswer":              "answers of SAP BTP, which the user names",
	"pattern.maxNesting":         "a regular expression that the user wrote",
	"dateformat.maxYear":         "the years of Java's own calendar",
	"values.maxLiteralDepth":     "a setting that the user wrote",
	"route.maxHead":              "answers of the user's own proxy",
}

// boundsOfPlugins are the bounds in the built-in plugins and their SDK. For a bound whose results are limited by a
// bound of the host, the entry names the test that computes and compares them, or the host's bound, which must not be
// less. Other bounds have a reason: most limit the size of an input.
var boundsOfPlugins = map[string]string{
	"paging.maxEmptyPages":           "TestLargestPositionFits",
	"paging.maxMessage":              "TestLargestPositionFits",
	"paging.maxUnreturned":           "TestLargestPositionFits",
	"paging.maxErrorHashes":          "TestLargestPositionFits",
	"paging.maxAttempts":             "TestLargestPositionFits",
	"paging.maxRecent":               "TestLargestPositionFits",
	"paging.maxTail":                 "TestLargestPositionFits",
	"paging.maxSeenBytes":            "TestLargestPositionOfACursorFits",
	"paging.maxLink":                 "TestOffsetsOfManyRowsAndLongLinks",
	"delta.MaxLostTokens":            "TestTokensLostAtOnce",
	"setting.maxDigits":              "TestValidationFitsHostLimit",
	"setting.maxComparisons":         "check.maxGuesses",
	"setting.maxPlaceholders":        "the size of an input",
	"setting.maxTemplateName":        "the size of an input",
	"edm.maxInherited":               "the size of an input",
	"odataerror.maxNameWords":        "the size of an input",
	"odataerror.maxLockedWords":      "the size of an input",
	"odata-source.maxErrors":         "TestValidationErrorsAreBounded",
	"responses.maxStops":             "TestLargestHintFits",
	"responses.maxETag":              "TestLargestHintFits",
	"transforms.maxSplit":            "TestSplitsAreBounded",
	"transforms.maxItems":            "TestSplitsAreBounded",
	"document.MaxEntries":            "plugin.maxTriggers",
	"delta.maxHiddenBytes":           "wit.MaxOffsetBytes",
	"notifications.maxStoreEntities": "source.maxLinked",
	"notifications.maxStorePages":    "transport.maxRounds",
	"notifications.maxStoreBody":     "transport.maxBodies",
	"feedreader.maxMetadata":         "transport.maxBodies",
	"feedreader.MaxErrorBody":        "transport.maxBodies",
	"probe.MaxServices":              "transport.maxRequests",
	"probe.maxCataloguePages":        "transport.maxRounds",
	"probe.MaxRecommended":           "transport.maxRequests",
	"inspect.maxServices":            "transport.maxRequests",
	"transform.maxDeclared":          "abi.maxDeclaredSchemas",
	"record.MaxDeclared":             "abi.maxDeclaredSchemas",
	"record.MaxCached":               "abi.maxDeclaredSchemas",
	"transforms.maxFlatNames":        "transform.maxGrowth",
	"requests.maxBytes":              "sink.maxDeliveryBytes",
	"value.maxScale":                 "connectdata.MaxScale",
	"edm.MaxDepth":                   "connectdata.MaxSchemaDepth",
	"edm.maxNodes":                   "connectdata.MaxSchemaNodes",
	"decode.maxDepth":                "connectdata.MaxDepth",
	"decode.maxRow":                  "conversion.MaxDecodedBytes",

	"probe.MaxRecommendedBytes": "a part of one result, which the call's limit bounds",
	"chain.maxData":             "when a portion is passed on",
	"chain.maxMisses":           "when rows take the fast path",
	"chain.maxHeaderTests":      "when rows take the fast path",
	"transforms.maxKept":        "when rows take the fast path",
	"decode.maxEmptyPages":      "the size of an input",
	"decode.maxErrorText":       "the size of an input",
	"decode.maxPlainText":       "the size of a message or page",
	"decode.maxExponent":        "the size of an input",
	"batch.maxSame":             "when lines take the fast path",
	"decode.maxCount":           "the size of an input",
	"decode.maxOthers":          "TestMoreNamesThanAreKept",
	"decode.maxQuote":           "the size of a message or page",
	"decode.maxRoots":           "TestMoreNamesThanAreKept",
	"delta.maxWait":             "a pause",
	"sourceconfig.maxConfirm":   "a setting's range",
	"sourceconfig.maxPartition": "a setting's range",
	"sourceconfig.maxSeconds":   "a setting's range",
	"datetime.maxOffset":        "a time zone's offset",
	"odataerror.maxNames":       "the size of a message or page",
	"odataerror.maxOptions":     "the size of an input",
	"odataerror.maxSearched":    "the size of an input",
	"odataerror.maxTransaction": "the size of an input",
	"feedreader.MaxPooled":      "the size of a cache",
	"feedreader.maxAbsent":      "the size of a cache",
	"feedreader.maxCompiled":    "the size of a cache",
	"feedreader.maxDerived":     "the size of a message or page",
	"internal/guest.maxSkip":    "when garbage is collected",
	"inspect.maxPeeked":         "requested by an operator",
	"inspect.maxPages":          "more than the host's rounds",
	"inspect.maxShownAddress":   "a part of one message",
	"jsontext.maxDepth":         "the size of an input",
	"smt/kernel.MaxConverted":   "the length of a number",
	"markup.maxDepth":           "the size of an input",
	"notifications.maxNested":   "the size of an input",
	"plugintest.maxExchanges":   "a limit of tests",
	"query.maxShown":            "the size of a message or page",
	"query.maxSteps":            "a setting that the user wrote",
	"role.MaxConcurrent":        "a role's name",
	"role.MaxConnections":       "a role's name",
	"source.MaxPageBytes":       "the size of an input",
	"transform.maxExtensions":   "the size of a cache",
	"setting.maxQuoted":         "the size of a message or page",
	"value.maxDigits":           "the size of an input",
	"value.maxQuote":            "the size of a message or page",
	"value.maxSmallScale":       "when values take the fast path",
	"requests.maxBuffer":        "the size of one allocation",
	"requests.maxFound":         "the size of a message or page",
	"encode.maxSchemas":         "the size of a cache",
	"requests.maxSizeHint":      "the size of a cache",

	"capabilities.maxConnectors": "the size of a cache",
	"capabilities.maxUndeclared": "TestLargestStaleErrorFits",
	"capabilities.maxFieldName":  "TestLargestStaleErrorFits",
	"capabilities.maxDetailLine": "shown.MaxLine",
}

// No bound of a plugin allows what a bound of the host rejects.
func TestPluginBoundsFitHostBounds(t *testing.T) {
	tests := testNames(t)
	pluginPackages := packagesBelow(t, "../plugins", "../sdk/go")
	hostPackages := packagesBelow(t, ".", "../internal", "../wit")
	number := func(packages map[string]string, name string) int {
		n, err := strconv.Atoi(bound(t, packages, name))
		require.NoError(t, err)
		return n
	}
	names := allBounds(t, pluginPackages)
	for _, name := range names {
		reason, ok := boundsOfPlugins[name]
		switch {
		case strings.HasPrefix(name, "meter."): // limits of modules, which every module meets
		case !ok:
			t.Errorf("expected the host's bound that %s meets, or its test, or a reason why it meets none", name)
		case strings.HasPrefix(reason, "Test") && !tests[reason]:
			t.Errorf("%s: expected the test %s to exist", name, reason)
		case regexp.MustCompile(`^\w+\.[mM]ax\w+$`).MatchString(reason):
			pluginBound := number(pluginPackages, name)
			hostBound := number(hostPackages, reason)
			assert.True(t, pluginBound <= hostBound,
				"expected %s = %d to be at least %s = %d", reason, hostBound, name, pluginBound)
		}
	}
	for name := range boundsOfPlugins {
		assert.True(t, slices.Contains(names, name), "expected %s to be a constant of a plugin or the SDK", name)
	}
	confirmSeconds := number(pluginPackages, "sourceconfig.maxConfirm")
	delayMs := number(hostPackages, "source.maxRepeatDelay")
	assert.True(t, 1000*confirmSeconds <= delayMs,
		"expected the longest wake interval, %d s, within the host's longest wait, %d ms", confirmSeconds, delayMs)
}

// The bounds are in a table next to the tests. The reference page is generated from it and from the constants.
const (
	boundsTable = "testdata/bounds.tsv"
	boundsPage  = "../cmd/culvert/reference/bounds.md"
)

var update = flag.Bool("update", false, "write the reference's page of bounds")

// boundRow is a row of the table of bounds.
type boundRow struct {
	name    string // of the constant. "" means that value is the bound.
	value   string
	test    string
	setting string
	subject string // what is bounded, for the page
}

// The table has every bound that a package of the host or of the contract exports, and the unexported constants that
// are named like bounds, except the listed ones. Each of its tests exists, and the reference page matches the code.
func TestTableOfBounds(t *testing.T) {
	tests := testNames(t)
	packages := packagesBelow(t, ".", "../internal", "../wit")
	isInTable := map[string]bool{}
	page := strings.Builder{}
	page.WriteString("# Bounds\n\nThe size of everything that plugins, services and files pass to the host is " +
		"bounded. Larger input fails with a\nmessage that contains what was found. A setting next to a bound " +
		"changes it; other bounds are fixed.\n\n| bound | at most | setting | in the code |\n" +
		"| --- | --- | --- | --- |\n")
	for _, b := range boundsOf(t) {
		assert.True(t, tests[b.test], "%s: expected the test %s to exist", b.subject, b.test)
		if b.name != "" {
			b.value = bound(t, packages, b.name)
			isInTable[b.name] = true
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", b.subject, b.value, codeSpan(b.setting), codeSpan(b.name))
	}
	if *update {
		require.NoError(t, os.WriteFile(boundsPage, []byte(page.String()), 0o644))
	}
	got, err := os.ReadFile(boundsPage)
	assert.True(t, err == nil && string(got) == page.String(),
		"%s is not what the code has (%v): go test ./host -run TestTableOfBounds -update writes it", boundsPage, err)
	names := allBounds(t, packages)
	for _, name := range names {
		if _, ok := outsideTheTable[name]; !isInTable[name] && !ok {
			t.Errorf("expected %s = %s in the table of bounds (%s), with its test", name, bound(t, packages, name),
				boundsTable)
		}
	}
	for name := range outsideTheTable {
		assert.True(t, slices.Contains(names, name) && !isInTable[name],
			"expected %s to be a constant that is outside of the table", name)
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
		require.True(t, len(f) == 4, "%s: expected four columns, found %q", boundsTable, line)
		b := boundRow{name: f[0], test: f[1], setting: f[2], subject: f[3]}
		if value, ok := strings.CutPrefix(b.name, "="); ok {
			b.name = ""
			b.value = value
		}
		bounds = append(bounds, b)
	}
	require.AtLeast(t, 130, len(bounds), "a table of bounds: rows")
	return bounds
}

// codeSpan returns a text as code in Markdown, or "".
func codeSpan(text string) string {
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
		assert.AtLeast(t, 3, len(packages), root, "several packages")
		for name, folder := range packages {
			for constant := range constants(t, folder) {
				assert.True(t, !others.MatchString(constant),
					"%s.%s: expected the name of a bound to begin with max", name, constant)
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
	assert.AtLeast(t, 40, len(names), "to find the bounds in the code")
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
	packageName, constantName, _ := strings.Cut(name, ".")
	if packages[packageName] == "" {
		t.Errorf("%s: its package does not exist", name)
		return ""
	}
	declared := constants(t, packages[packageName])
	e := declared[constantName]
	if e == nil {
		t.Errorf("%s is no constant", name)
		return ""
	}
	if product, ok := e.(*ast.BinaryExpr); ok {
		if other, ok := product.Y.(*ast.Ident); ok && declared[other.Name] != nil {
			e = &ast.BinaryExpr{X: product.X, Op: product.Op, Y: declared[other.Name]}
		}
	}
	return evaluate(t, e)
}

// constants returns the constants of the package in a folder.
func constants(t *testing.T, folder string) map[string]ast.Expr {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	byName := map[string]ast.Expr{}
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
						byName[ident.Name] = s.Values[n]
					}
				}
			}
		}
	}
	return byName
}

// evaluate evaluates a constant expression of numbers and time units.
func evaluate(t *testing.T, e ast.Expr) string {
	t.Helper()
	text := types.ExprString(e)
	isTime := strings.Contains(text, "time.")
	for unit, d := range map[string]time.Duration{
		"time.Millisecond": time.Millisecond,
		"time.Second":      time.Second,
		"time.Minute":      time.Minute,
	} {
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
