package source

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// tokenService is a service without $orderby whose skip tokens are valid only in the session that issued them, as
// identified by the cookie. Each set has rows 1 to tokenRows.
type tokenService struct {
	dropAt  int    // the page at which the service ends all sessions; zero means never
	message string // the error for a rejected token

	mu       sync.Mutex
	sessions map[string]map[string]int // rows before the page, by session and token
	opened   int                       // sessions
	pages    int
	rejected int // tokens
}

const (
	tokenRows   = 500 // of a set
	tokenPage   = 10  // rows
	tokenSets   = 3
	tokenCookie = "SAP_SESSIONID_X_100"
)

func (s *tokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("DataServiceVersion", "2.0")
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		w.Header().Set("Content-Type", "application/xml")
		var sets strings.Builder
		for i := range tokenSets {
			fmt.Fprintf(&sets, `<EntitySet Name="Rows%d" EntityType="N.Row"/>`, i)
		}
		io.WriteString(w, strings.Replace(rowsMetadata, `<EntitySet Name="Rows" EntityType="N.Row"/>`, sets.String(), 1))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	query := r.URL.Query()
	if query.Has("$orderby") {
		w.WriteHeader(http.StatusNotImplemented)
		io.WriteString(w, `{"error":{"code":"X/1","message":{"value":"$orderby is not supported"}}}`)
		return
	}
	s.pages++
	if s.pages == s.dropAt {
		clear(s.sessions)
	}
	tokens := s.session(w, r)
	first, _ := strconv.Atoi(query.Get("$skip"))
	if token := query.Get("$skiptoken"); token != "" {
		position, ok := tokens[token]
		if !ok {
			s.rejected++
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"code":"X/2","message":{"value":"%s"}}}`, s.message)
			return
		}
		first = position
	}
	var items []string
	for row := first + 1; row <= min(first+tokenPage, tokenRows); row++ {
		items = append(items, fmt.Sprintf(`{"ID":%d}`, row))
	}
	next := ""
	if first+tokenPage < tokenRows {
		token := fmt.Sprintf("cursor%dof%d", s.pages, s.opened)
		tokens[token] = first + tokenPage
		next = fmt.Sprintf(`,"__next":"%s?$skiptoken=%s"`, r.URL.Path, token)
	}
	fmt.Fprintf(w, `{"d":{"__count":"%d","results":[%s]%s}}`, tokenRows, strings.Join(items, ","), next)
}

// session returns the tokens of the request's session, which it opens if the cookie is missing or unknown.
func (s *tokenService) session(w http.ResponseWriter, r *http.Request) map[string]int {
	if cookie, err := r.Cookie(tokenCookie); err == nil && s.sessions[cookie.Value] != nil {
		return s.sessions[cookie.Value]
	}
	s.opened++
	id := fmt.Sprint("session", s.opened)
	http.SetCookie(w, &http.Cookie{Name: tokenCookie, Value: id, Path: "/"})
	s.sessions[id] = map[string]int{}
	return s.sessions[id]
}

// A restart in mid-load ends the session of the token: the load begins again.
func TestTokensOfSessionsAfterRestart(t *testing.T) {
	t.Parallel()
	s := &tokenService{message: "unknown cursor", sessions: map[string]map[string]int{}}
	hasStopped := false
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		stop := s.pages == 20 && !hasStopped
		hasStopped = hasStopped || stop
		s.mu.Unlock()
		if stop {
			w.Header().Set("DataServiceVersion", "2.0")
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"error":{"code":"X/3","message":{"value":"no authorization"}}}`)
			return
		}
		s.ServeHTTP(w, r)
	}))
	p := e2etest.NewPlace(t)
	file := p.File("tokens.properties", append(e2etest.Source("tokens", address), "sap.odata#00.service=/s",
		"sap.odata#00.entityset=Rows0", "sap.odata#00.topic=rows")...)
	p.RunOnce(file).WantCode(1)
	s.mu.Lock()
	clear(s.sessions)
	s.mu.Unlock()
	p.RunOnce(file).WantCode(0)
	keys := map[string]bool{}
	for _, record := range p.Records("rows") {
		keys[fmt.Sprint(record["key"])] = true
	}
	assert.Equal(t, tokenRows, len(keys), "different keys")
	assert.Equal(t, 1, s.rejected, "rejected tokens")
}

// Three tasks read three sets in two sessions, each to the end with the tokens of its session. If the service ends the
// sessions in the middle, the loads begin again, the log gives the reason, and all rows arrive.
func TestTokensOfSessions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		dropAt  int
		message string
	}{
		{name: "sessions last"},
		{name: "sessions are replaced", dropAt: 75, message: "the skiptoken is of another session"},
		{name: "sessions are replaced, and the text does not name the token", dropAt: 75, message: "unknown cursor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &tokenService{dropAt: c.dropAt, message: c.message, sessions: map[string]map[string]int{}}
			address := e2etest.Serve(t, s)
			lines := append(e2etest.Source("tokens", address), "tasks.max=3", "sap.odata.max.concurrent.requests=2")
			for i := range tokenSets {
				lines = append(lines, fmt.Sprintf("sap.odata#%02d.service=/s", i),
					fmt.Sprintf("sap.odata#%02d.entityset=Rows%d", i, i),
					fmt.Sprintf("sap.odata#%02d.topic=rows%d", i, i))
			}
			p := e2etest.NewPlace(t)
			r := p.RunOnce(p.File("tokens.properties", lines...))
			r.WantCode(0)
			const warning = "whose token may belong to an earlier session"
			reloads := 0
			for i := range tokenSets {
				keys := map[string]bool{}
				isReload := false
				records := p.Records(fmt.Sprint("rows", i))
				for _, record := range records {
					keys[fmt.Sprint(record["key"])] = true
					isReload = isReload || strings.Contains(fmt.Sprint(record["headers"]), "culvert.snapshot")
				}
				assert.Equal(t, tokenRows, len(keys), "different keys")
				assert.True(t, len(records) > tokenRows == isReload,
					"set %d: expected a reload if there are more than %d records, found %d, reload %t", i, tokenRows,
					len(records), isReload)
				if isReload {
					reloads++
				}
			}
			assert.Equal(t, s.rejected, reloads, "loads that began again")
			assert.Equal(t, s.rejected, strings.Count(r.Stderr, warning), "warnings")
			assert.True(t, (s.rejected > 0) == (c.dropAt > 0) && s.opened <= 4,
				"expected rejected tokens if sessions are dropped, and at most 4 sessions, found %d and %d", s.rejected,
				s.opened)
			t.Logf("%d pages, %d sessions, %d tokens rejected", s.pages, s.opened, s.rejected)
		})
	}
}
