package console

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"maps"
	"strings"
	"sync"
	"time"
)

// pageFragment is a part of a page that the browser polls once a second. Its version is a hash of its HTML, so that an
// unchanged fragment is not sent again.
type pageFragment struct {
	Name    string        `json:"-"`
	Version string        `json:"version"`
	HTML    template.HTML `json:"html"`
}

type rendered struct {
	fragments  map[string]pageFragment
	err        error
	renderedAt time.Time
}

func digest(text []byte) string {
	hash := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(hash[:9])
}

// cacheTTL is how long fragments are shared between viewers: with a poll per second, a failure shows within 2 s.
const cacheTTL = 800 * time.Millisecond

// maxCachedPages bounds the cache: there is a page for each URL that is viewed.
const maxCachedPages = 64

type pageCache struct {
	mu    sync.Mutex
	pages map[string]*cachedPage
}

type cachedPage struct {
	mu      sync.Mutex
	content rendered
}

// get returns a cached page; the first caller renders it while others wait.
func (s *pageCache) get(key string, make func() rendered) rendered {
	p := s.page(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.content.renderedAt) >= cacheTTL {
		p.content = make()
		p.content.renderedAt = time.Now()
	}
	return p.content
}

func (s *pageCache) page(key string) *cachedPage {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[key]
	if p == nil {
		if s.pages == nil || len(s.pages) >= maxCachedPages { // those that are looked at come again at once
			s.pages = map[string]*cachedPage{}
		}
		p = &cachedPage{}
		s.pages[key] = p
	}
	return p
}

// changedFragments returns the fragments that differ from known: NAME.VERSION, separated by commas.
func changedFragments(all map[string]pageFragment, known string) map[string]pageFragment {
	changed := maps.Clone(all)
	for one := range strings.SplitSeq(known, ",") {
		if name, version, _ := strings.Cut(one, "."); changed[name].Version == version {
			delete(changed, name)
		}
	}
	return changed
}

const fragmentsParameter = "fragments"
