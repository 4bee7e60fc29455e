package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// collatingService has text keys. It sorts them by one collation and compares them in filters by another.
type collatingService struct {
	keys        []string
	pageSize    int
	sortOrder   func(a, b string) int
	filterOrder func(a, b string) int
	hasCount    bool     // the service returns an inline count
	requests    []string // the queries that were received
}

func (c *collatingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		w.Write([]byte(strings.ReplaceAll(numberKeyMetadata, "Edm.Int32", "Edm.String")))
		return
	}
	c.requests = append(c.requests, r.URL.RawQuery)
	query := r.URL.Query()
	keys := slices.Clone(c.keys)
	for part := range strings.SplitSeq(query.Get("$filter"), " and ") {
		words := strings.Fields(strings.Trim(part, "()"))
		if len(words) != 3 {
			continue
		}
		bound := strings.Trim(words[2], "'")
		isGreater := words[1] == "gt"
		keys = slices.DeleteFunc(keys, func(k string) bool { return isGreater != (c.filterOrder(k, bound) > 0) })
	}
	slices.SortFunc(keys, c.sortOrder)
	if strings.HasSuffix(query.Get("$orderby"), " desc") {
		slices.Reverse(keys)
	}
	count := len(keys)
	skip, _ := strconv.Atoi(query.Get("$skip"))
	keys = keys[min(skip, len(keys)):]
	page := keys[:min(c.pageSize, len(keys))]
	body := `{"d":{`
	if c.hasCount {
		body += `"__count":"` + strconv.Itoa(count) + `",`
	}
	body += `"results":[`
	for i, k := range page {
		body += strings.Repeat(",", min(i, 1)) + `{"K":"` + k + `"}`
	}
	body += "]"
	if len(keys) > len(page) {
		query.Set("$skip", strconv.Itoa(skip+len(page)))
		body += `,"__next":"X?` + query.Encode() + `"`
	}
	w.Write([]byte(body + "}}"))
}

// No row is lost, whatever collations a service sorts and compares by. Without counts, both must be the same.
func TestCollations(t *testing.T) {
	fold := func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) }
	upper := func(a, b string) int { return cmp.Compare(strings.ToUpper(a), strings.ToUpper(b)) }
	length := func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }
	noHyphens := func(a, b string) int {
		return cmp.Or(fold(strings.ReplaceAll(a, "-", ""), strings.ReplaceAll(b, "-", "")), cmp.Compare(a, b))
	}
	collations := map[string]func(a, b string) int{
		"bytes":           cmp.Compare[string],
		"fold":            fold,
		"upper":           upper,
		"length":          length,
		"without hyphens": noHyphens,
	}
	r := rand.New(rand.NewPCG(1, 1))
	for sortName, sortOrder := range collations {
		for filterName, filterOrder := range collations {
			for round := range 10 {
				service := &collatingService{
					pageSize:    2 + r.IntN(8),
					sortOrder:   sortOrder,
					filterOrder: filterOrder,
					hasCount:    round%2 == 0 || sortName != filterName,
				}
				for len(service.keys) < 60 {
					k := ""
					for range 1 + r.IntN(4) {
						k += string("aAbBzZ_-09"[r.IntN(10)])
					}
					if !slices.ContainsFunc(service.keys, func(key string) bool { return strings.EqualFold(key, k) }) {
						service.keys = append(service.keys, k)
					}
				}
				l := newLoad(t, service, set("00", "X")...)
				_, err := l.run(0, nil)
				missing := 0
				for _, k := range service.keys {
					if !slices.Contains(l.rows, fmt.Sprint([]any{k})) {
						missing++
					}
				}
				assert.True(t, err == nil && missing <= 0,
					"sorted by %s, compared by %s, counts %v: %d rows are missing, %v\n%s", sortName, filterName,
					service.hasCount, missing, err, strings.Join(service.requests, "\n"))
			}
		}
	}
}
