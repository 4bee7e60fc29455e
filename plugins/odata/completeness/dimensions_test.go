package completeness

import (
	"fmt"
	"slices"
	"strings"
)

// dimension is one of the independent properties of a service, or of the settings with which it is read.
type dimension int

const (
	storageOrder dimension = iota
	keyType
	filterOrder
	sortOrder
	cutting
	counts
	skips
	tops
	linkForm
	notShown
	nodeCount
	failures
	changes
	loadCount
	trackingToken
	pagingMode
	countMode
	deliveryMode
	version
	// The dimensions after the version are of v4 alone.
	annotations
	emptyPages
	linkBase
	tokenUse
	tombstones
	changedRows
	changePages
	dimensionCount
)

// dimensions has the name of each dimension and its values. The first value is the default.
var dimensions = [dimensionCount][]string{
	storageOrder: {"storage", "ascending", "descending", "rotated", "arranged"},
	keyType:      {"keys", "integers", "texts", "mixed case", "two components", "duplicate", "nullable", "generated"},
	filterOrder:  {"filter", "as sorted", "by bytes", "without case", "by a collation", "rounded", "ignored", "refused"},
	sortOrder:    {"order", "heeded", "another collation", "ignored", "only with a filter", "after cutting"},
	cutting:      {"cut", "page with link", "page without", "before sorting", "a total"},
	counts: {"count", "right", "absent", "of the page", "of what was cut", "too high", "too low",
		"refused"},
	skips:     {"skip", "heeded", "ignored", "after cutting"},
	tops:      {"top", "heeded", "ignored"},
	linkForm:  {"links", "by key", "token", "number", "none", "without the options", "missing at one page"},
	notShown:  {"hidden", "none", "by authorization", "under expand", "null keys", "undecodable"},
	nodeCount: {"nodes", "one", "one lags"},
	failures:  {"failure", "none", "400 once", "503 once", "HTML once", "error behind rows once"},
	changes:   {"change", "none", "insert", "delete", "move", "delete and insert"},
	loadCount: {"loads", "one", "grown", "shrunk", "equal"},
	trackingToken: {"tokens", "none", "last page", "each page", "never", "missing once", "ODP last page",
		"ODP each page", "ODP DeltaLinksOf", "ODP never", "ODP missing once"},
	pagingMode:   {"paging", "auto", "keys", "links", "top"},
	countMode:    {"counting", "on", "off"},
	deliveryMode: {"delivery", "at least once", "exactly once"},
	version:      {"version", "v2", "v4"},
	annotations:  {"annotations", "behind", "in front", "short names", "mixed"},
	emptyPages:   {"empty pages", "with value", "without value", "one at the start"},
	linkBase:     {"relative links", "to the request", "to the context"},
	tokenUse:     {"delta token", "heeded", "ignored"},
	tombstones:   {"tombstones", "4.0", "4.0, absolute", "4.01", "4.01 by key"},
	changedRows:  {"changed rows", "whole", "partial", "with links", "with links, expanded", "three times", "deleted last"},
	changePages:  {"changes", "on one page", "on pages of one"},
}

func (d dimension) String() string { return dimensions[d][0] }

// values returns the values of a dimension.
func (d dimension) values() []string { return dimensions[d][1:] }

// description has one value of each dimension.
type description [dimensionCount]string

// dimensionsOfChanges are the dimensions of v4 that only concern the changes after a load.
var dimensionsOfChanges = []dimension{tokenUse, tombstones, changedRows, changePages}

// defaults returns the service that has the default of each dimension.
func defaults() (d description) {
	for i := range dimensionCount {
		d[i] = i.values()[0]
	}
	return d
}

// String names the values that are no defaults.
func (d description) String() string {
	var names []string
	for i := range dimensionCount {
		if d[i] != i.values()[0] {
			names = append(names, fmt.Sprintf("%s: %s", i, d[i]))
		}
	}
	return strings.Join(names, ", ")
}

// exclusion is a combination that no service can have, or that repeats another one.
type exclusion struct {
	reason string
	holds  func(d *description) bool
}

var exclusions = []exclusion{
	{"numbers have one order", func(d *description) bool {
		isText := d[keyType] == "texts" || d[keyType] == "mixed case" || d[keyType] == "two components"
		isCollated := d[filterOrder] == "by bytes" || d[filterOrder] == "without case" ||
			d[filterOrder] == "by a collation"
		return !isText && (isCollated || d[sortOrder] == "another collation")
	}},
	{"texts are not rounded", func(d *description) bool {
		return d[filterOrder] == "rounded" && (d[keyType] == "texts" || d[keyType] == "mixed case")
	}},
	{"rows that are cut before they are sorted have no link", func(d *description) bool {
		return d[cutting] == "before sorting" && d[linkForm] != "by key"
	}},
	{"a page without link has none", func(d *description) bool {
		return d[cutting] == "page without" && d[linkForm] != "by key"
	}},
	{"a service that sorts after cutting has sorted what it cuts before sorting", func(d *description) bool {
		return d[cutting] == "before sorting" && d[sortOrder] == "after cutting"
	}},
	{"a generated key selects no row", func(d *description) bool {
		return d[keyType] == "generated" && d[filterOrder] != "ignored" && d[filterOrder] != "refused"
	}},
	{"after a load in delta mode, changes follow", func(d *description) bool {
		return d[trackingToken] != "none" && d[loadCount] != "one"
	}},
	{"services of ODP are of v2", func(d *description) bool {
		return d[version] == "v4" && strings.HasPrefix(d[trackingToken], "ODP")
	}},
	{"only pages of v4 have an error behind their rows", func(d *description) bool {
		return d[version] == "v2" && d[failures] == "error behind rows once"
	}},
	{"without change tracking there are no changes", func(d *description) bool {
		return d[trackingToken] == "none" && slices.ContainsFunc(dimensionsOfChanges, func(i dimension) bool {
			return d[i] != i.values()[0]
		})
	}},
	{"an error document is no page", func(d *description) bool {
		return d[failures] == "error behind rows once" && d[emptyPages] != "with value"
	}},
	{"a page without link has no link to the first rows", func(d *description) bool {
		return d[emptyPages] == "one at the start" && (d[cutting] != "page with link" || d[linkForm] == "none")
	}},
	{"an extraction of ODP has no navigation properties", func(d *description) bool {
		return strings.HasPrefix(d[trackingToken], "ODP") && d[notShown] == "under expand"
	}},
}

// isPossible reports whether a service can have these values.
func (d *description) isPossible() bool {
	for i := range exclusions {
		if exclusions[i].holds(d) {
			return false
		}
	}
	return true
}

// variant has what varies within a description.
type variant struct {
	rows int
	page int // rows of a page
	// pattern is the number of an arrangement of rows, or of the case of their keys.
	pattern int
	// request is the number of the request before which the set changes, or that fails. Zero means no request.
	request int
	place   string // the row that is hidden
	changed string // the row that changes
	// specialRows is the number of rows that are hidden. Zero means one.
	specialRows int
}

func (v variant) String() string {
	return fmt.Sprintf("%d rows, pages of %d, pattern %d, request %d, %s row hidden, %s row changed", v.rows, v.page,
		v.pattern, v.request, v.place, v.changed)
}

const maxRows = 7

// placesIf returns the rows that may change or be hidden, if any does.
func placesIf(isAny bool, rows int) []string {
	if !isAny {
		return []string{"first"}
	}
	return []string{"first", "middle", "last"}[:min(rows, 3)]
}

// requests returns the numbers of the requests before which the set may change, or that may fail.
func (d *description) requests() []int {
	switch {
	case d[changes] != "none" && d[version] == "v4":
		return []int{2, 3, 5}
	case d[changes] != "none":
		return []int{2, 3, 4, 5, 6, 7}
	case d[failures] != "none":
		return []int{1, 2, 3, 4}
	}
	return []int{0}
}

// patterns returns the number of arrangements of rows, or of the case of their keys.
func (d *description) patterns(rows int) int {
	switch {
	case d[storageOrder] == "arranged" && rows == 5:
		return 120
	case d[storageOrder] == "arranged":
		return 0
	case d[keyType] == "mixed case":
		return 1 << rows
	}
	return 1
}

// sizesOfV4 are the numbers of rows, and of rows in a page, of sets of v4: none, one, full pages, and others.
var sizesOfV4 = [][2]int{{0, 2}, {1, 3}, {3, 3}, {4, 2}, {7, 3}}

// variants calls visit for each variant of a description. visit returns false if later requests make no difference. In
// v4, whose pager is the same, it leaves out many patterns and sizes, and the set changes less often.
func (d *description) variants(visit func(v variant) (isRelevant bool)) {
	step := 1
	if d[version] == "v4" {
		step = 19
	}
	for rows := range maxRows + 1 {
		for page := 2; page <= 3; page++ {
			if d[version] == "v4" && !slices.Contains(sizesOfV4, [2]int{rows, page}) {
				continue
			}
			for pattern := 0; pattern < d.patterns(rows); pattern += step {
				v := variant{rows: rows, page: page, pattern: pattern}
				for _, v.place = range placesIf(d[notShown] != "none" || d[nodeCount] != "one", rows) {
					for _, v.changed = range placesIf(d[changes] != "none", rows) {
						for _, v.request = range d.requests() {
							if !visit(v) {
								break
							}
						}
					}
				}
			}
		}
	}
}

// isHonest reports whether the loads of a service must be proven: it sorts keys as it compares them, cuts pages after
// sorting, returns all rows, and counts correctly or not at all. Loads by links that count rows are no such loads.
func (d *description) isHonest() bool {
	isSound := d[filterOrder] == "as sorted" && (d[sortOrder] == "heeded" || d[sortOrder] == "another collation") &&
		(d[cutting] == "page with link" || d[cutting] == "page without") &&
		(d[counts] == "right" || d[counts] == "absent" || d[counts] == "refused") && d[skips] == "heeded" &&
		d[tops] == "heeded" && d[linkForm] != "without the options" && d[linkForm] != "missing at one page"
	hasKeys := d[keyType] != "duplicate" && d[keyType] != "generated"
	isSteady := d[notShown] == "none" && d[nodeCount] == "one" && d[changes] == "none" &&
		(d[failures] == "none" || d[failures] == "503 once" || d[failures] == "error behind rows once")
	isFollowed := d[pagingMode] != "links" || (d[linkForm] == "by key" && d[cutting] == "page with link" &&
		d[counts] == "right" && d[countMode] == "on")
	// If each page has a delta link, only a count shows the end.
	showsEnd := !strings.HasSuffix(d[trackingToken], "each page") || (d[counts] == "right" && d[countMode] == "on")
	hasTokens := d[trackingToken] != "never" && d[trackingToken] != "missing once" && d[trackingToken] != "ODP never" &&
		d[trackingToken] != "ODP DeltaLinksOf"
	isTracked := !d.tracks() || (hasTokens && d[linkForm] == "by key" && d[cutting] == "page with link")
	return isSound && hasKeys && isSteady && isFollowed && isTracked && showsEnd && d[tokenUse] == "heeded" &&
		d[emptyPages] != "one at the start" // the last page then has all rows, and its count may be that of the page
}

// maxRequestsOf returns the number of requests that an honest service needs at most.
func (d *description) maxRequestsOf(rows, page int) int {
	requests := (rows+page-2)/(page-1) + 2
	hasNoCount := d[counts] != "right" || d[countMode] == "off"
	hasTexts := d[keyType] == "texts" || d[keyType] == "mixed case" || d[keyType] == "two components"
	if hasTexts && hasNoCount {
		requests += 3
	}
	if d[counts] == "refused" && d[countMode] == "on" {
		requests += 2 // the refusal, of $orderby or the count
	}
	if d.isODP() {
		requests++ // is there a subscription?
	}
	if d[failures] != "none" {
		requests++
	}
	return requests
}
