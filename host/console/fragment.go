package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A page has parts that a browser asks for again once a second: its fragments. Each has a version, the hash of what it
// shows, so that nothing is sent of one that is as it was.

// fragment is a part of a page as it was made.
type fragment struct {
	Name    string        `json:"-"`
	Version string        `json:"version"`
	HTML    template.HTML `json:"html"`
}

// rendered are the fragments of a page, and what kept them from being made.
type rendered struct {
	fragments []fragment
	title     string
	err       error
	made      time.Time
}

// newFragment runs a template; its result is text that html/template has escaped.
func newFragment(t *template.Template, name string, data any) (fragment, error) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return fragment{}, err
	}
	hash := sha256.Sum256(b.Bytes())
	return fragment{name, base64.RawURLEncoding.EncodeToString(hash[:9]), template.HTML(b.String())}, nil
}

// fresh is for how long fragments are the same for all who look at a page. With the second between two questions of a
// browser a failure is seen within two.
const fresh = 800 * time.Millisecond

// maxShared is how many pages are kept at a time; there are as many as there are addresses that viewers look at.
const maxShared = 64

// shared has each page made once for all its viewers while it is fresh. What may be seen of a page is part of its key.
type shared struct {
	mu    sync.Mutex
	pages map[string]*sharedPage
}

type sharedPage struct {
	mu   sync.Mutex
	made rendered
}

// get is a page that is fresh, made by the first who asks while the others wait.
func (s *shared) get(key string, make func() rendered) rendered {
	p := s.page(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.made.made) >= fresh {
		p.made = make()
		p.made.made = time.Now()
	}
	return p.made
}

func (s *shared) page(key string) *sharedPage {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[key]
	if p == nil {
		if s.pages == nil || len(s.pages) >= maxShared { // those that are looked at come again at once
			s.pages = map[string]*sharedPage{}
		}
		p = &sharedPage{}
		s.pages[key] = p
	}
	return p
}

// since are the fragments that are not of the version that a browser has: NAME.VERSION, several separated by commas.
func since(all []fragment, known string) map[string]fragment {
	changed := map[string]fragment{}
	for _, f := range all {
		changed[f.Name] = f
	}
	for one := range strings.SplitSeq(known, ",") {
		name, version, _ := strings.Cut(one, ".")
		if f, ok := changed[name]; ok && f.Version == version {
			delete(changed, name)
		}
	}
	return changed
}

// fragmentsOf is the parameter by which the script asks for fragments alone.
const fragmentsOf = "fragments"

// asksFragments tells whether a request is that of the script, and what it knows.
func asksFragments(r *http.Request) (known string, ok bool) {
	q := r.URL.Query()
	return q.Get(fragmentsOf), q.Has(fragmentsOf)
}
