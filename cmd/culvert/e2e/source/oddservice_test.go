package source

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// oddService has one set, Rows, with numbered rows, in pages. It accepts $orderby but ignores it.
type oddService struct {
	mu       sync.Mutex
	rows     []int
	page     int
	requests int
	// asked gets each request, by its number.
	asked func(number int)
}

const oddMetadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">` +
	`<EntityType Name="Row"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>` +
	`<EntityContainer Name="C"><EntitySet Name="Rows" EntityType="N.Row"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`

func (s *oddService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		w.Header().Set("Content-Type", "application/xml")
		w.Write([]byte(oddMetadata))
		return
	}
	s.requests++
	q := r.URL.Query()
	w.Header().Set("Content-Type", "application/json")
	s.asked(s.requests)
	rows := slices.Clone(s.rows)
	for part := range strings.SplitSeq(q.Get("$filter"), " and ") {
		words := strings.Fields(strings.Trim(part, "()"))
		if len(words) != 3 {
			continue
		}
		than, _ := strconv.Atoi(words[2])
		rows = slices.DeleteFunc(rows, func(k int) bool {
			return words[1] == "gt" && k <= than || words[1] == "le" &&
				k > than
		})
	}
	skip, _ := strconv.Atoi(q.Get("$skip"))
	count := len(rows)
	rows = rows[min(skip, len(rows)):]
	size := s.page
	if top, err := strconv.Atoi(q.Get("$top")); err == nil { // a question
		size = top
	}
	page := rows[:min(size, len(rows))]
	body := `{"d":{"__count":"` + strconv.Itoa(count) + `","results":[`
	for i, k := range page {
		body += strings.Repeat(",", min(i, 1)) + `{"ID":` + strconv.Itoa(k) + `}`
	}
	body += "]"
	if len(rows) > len(page) {
		keep := ""
		for _, name := range []string{"$filter", "$orderby", "$inlinecount"} {
			if v := q.Get(name); v != "" {
				keep += name + "=" + strings.ReplaceAll(v, " ", "%20") + "&"
			}
		}
		body += `,"__next":"` + r.URL.Path + "?" + keep + "$skip=" + strconv.Itoa(skip+len(page)) + `"`
	}
	w.Write([]byte(body + "}}"))
}

// oddRows is the settings of a connector that reads Rows, of a service that is not the demo service, into a topic.
func oddRows(name, address string, settings ...string) []string {
	return append(append(e2etest.Source(name, address), "sap.odata#00.service=/s", "sap.odata#00.entityset=Rows",
		"sap.odata#00.topic=rows"), settings...)
}
