package odatatest

import (
	"bytes"
	"io"
	"regexp"
	"strings"
)

// dialect is what differs between OData v2 and v4 where requests are read and responses are written. The path of a
// request chooses it.
type dialect struct {
	*syntax
	versionHeader string
	version       string // of responses with rows
	plainVersion  string // of other responses
	// preferencePrefixes may precede the names of preferences in the header Prefer.
	preferencePrefixes []string
	parseText          func(k kind, s string) (*value, error) // of strings in JSON bodies
	needsExactNumbers  bool                                   // strings for numbers need IEEE754Compatible=true
	negotiate          func(ex *exchange) *fault
	contentType        func(ex *exchange, kind string) string // of rows; kind is feed or entry
	newShape           func(ex *exchange, t *table, q *query) (*shape, *fault)
	newEncoder         func(ex *exchange, w io.Writer, s *shape) encoder
	faultJSON          func(f *fault, m *mount) []byte
	metadata           func(ex *exchange) *fault
	serviceDocument    func(ex *exchange) *fault
}

// syntax is the part of a dialect that concerns query options and literals.
type syntax struct {
	countOption   string
	countValues   [2]string // the values that request the number of rows, and none
	formats       *regexp.Regexp
	setExpand     func(q *query, argument string) *fault
	deltaToken    string
	isTokenQuoted bool     // in delta links
	keptByDelta   []string // options that delta links repeat
	readWord      func(l *lexer) error
	appendLiteral func(b []byte, v *value) []byte
	functions     map[string]func(s, argument []byte) bool // of $filter
}

var v2 = &dialect{
	syntax: &syntax{
		countOption: "$inlinecount",
		countValues: [2]string{"allpages", "none"},
		formats:     regexp.MustCompile(`^(json|atom|xml)$`),
		setExpand: func(q *query, argument string) *fault {
			q.expanded = splitPaths(argument)
			return nil
		},
		deltaToken:    deltaToken,
		isTokenQuoted: true,
		readWord:      readWord,
		appendLiteral: appendLiteral,
	},
	versionHeader:      "DataServiceVersion",
	version:            "2.0",
	plainVersion:       "1.0",
	preferencePrefixes: []string{"odata."},
	parseText:          parsePlain,
	negotiate:          negotiate,
	contentType:        contentType,
	newShape: func(_ *exchange, t *table, q *query) (*shape, *fault) {
		return newShape(t, q.selected, q.expanded)
	},
	newEncoder:      newEncoder,
	faultJSON:       (*fault).json,
	metadata:        serveMetadata,
	serviceDocument: serveServiceDocument,
}

var v4 = &dialect{
	syntax: &syntax{
		countOption:   "$count",
		countValues:   [2]string{"true", "false"},
		formats:       regexp.MustCompile(`^(json|application/json(;.*)?)$`),
		setExpand:     setNestedExpand,
		deltaToken:    "$deltatoken",
		keptByDelta:   []string{"$select", "$expand", "$filter"},
		readWord:      readWord4,
		appendLiteral: appendLiteral4,
		functions: map[string]func(s, argument []byte) bool{"contains": bytes.Contains, "startswith": bytes.HasPrefix,
			"endswith": bytes.HasSuffix},
	},
	versionHeader:      "OData-Version",
	version:            "4.0",
	plainVersion:       "4.0",
	preferencePrefixes: []string{"odata.", ""},
	parseText:          parsePlain4,
	needsExactNumbers:  true,
	negotiate:          negotiate4,
	contentType:        contentType4,
	newShape:           newNestedShape,
	newEncoder:         newEncoder4,
	faultJSON:          (*fault).json4,
	metadata:           serveMetadata4,
	serviceDocument:    serveServiceDocument4,
}

// preference returns the value of a preference in the request, and whether the request has it.
func (ex *exchange) preference(name string) (text string, ok bool) {
	for item := range strings.SplitSeq(ex.r.Header.Get("Prefer"), ",") {
		for _, prefix := range ex.mount.dialect.preferencePrefixes {
			itemName, argument, _ := strings.Cut(strings.TrimSpace(item), "=")
			if itemName == prefix+name {
				return argument, true
			}
		}
	}
	return "", false
}

// preferredPageSize reads the preference maxpagesize. Zero means that the request does not have it.
func (ex *exchange) preferredPageSize() int {
	size, _ := ex.preference("maxpagesize")
	n, _ := parseNatural(size)
	return n
}

// tracksChanges reports whether the request has the preference track-changes.
func (ex *exchange) tracksChanges() bool {
	_, ok := ex.preference("track-changes")
	return ok
}
