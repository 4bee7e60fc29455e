package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/rest"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// policy lets a page load and ask what this worker serves, and nothing else: no script or style in a page, no frame
// around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// maxForm is how many bytes a form may have: a configuration twice, with what stands around it.
const maxForm = 4 << 20

// console answers below /console/.
type console struct {
	rest.Pages
	templates *template.Template
	assets    map[string]asset
	version   string // of all assets
	shared    shared
}

type asset struct {
	kind string
	data []byte
}

// New makes the pages over REST.
func New(p rest.Pages) http.Handler {
	c := &console{Pages: p, assets: map[string]asset{}}
	files, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err) // it is part of the program
	}
	hash := sha256.New()
	for _, f := range files {
		data, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			panic(err)
		}
		hash.Write(data)
		c.assets[f.Name()] = asset{mime.TypeByExtension(path.Ext(f.Name())), data}
	}
	c.version = base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:9])
	c.templates = template.Must(template.New("").Funcs(words).ParseFS(pageFiles, "pages/*.html"))
	return c
}

// page is an address below /console/. Its template is called as it is, its fragments PAGE-NAME.
type page struct {
	title     string
	fragments []string
	// load asks REST for what the page shows. private: it is made for each who asks for it, since it shows records
	// or what was typed.
	load    func(*visit) (any, error)
	private bool
	// post takes a form; nil: the page has none of its own.
	post func(*visit) (any, error)
}

// pages are all there are, by the last part of their path.
var pages = map[string]page{
	"":          {title: "Connectors", fragments: []string{"counts", "list"}, load: (*visit).overview},
	"connector": {fragments: []string{"state", "flow", "feeds", "tasks"}, load: (*visit).connector},
	"records":   {title: "Records", fragments: []string{"rows"}, load: (*visit).records, private: true, post: (*visit).postRecords},
	"form":      {title: "Configuration", fragments: []string{"notice", "fields", "text", "review"}, load: (*visit).form, private: true, post: (*visit).postForm},
	"letters":   {title: "Dead letters", fragments: []string{"causes"}, load: (*visit).letters},
	"plugins":   {title: "Plugins", fragments: []string{"list"}, load: (*visit).plugins},
	"origins":   {title: "Services", fragments: []string{"list"}, load: (*visit).origins},
	"log":       {title: "Log", fragments: []string{"lines"}, load: (*visit).log},
	"act":       {title: "Done", fragments: []string{"outcome"}, load: (*visit).nothing, private: true, post: (*visit).act},
}

// visit is a request for a page.
type visit struct {
	asker
	// reads says why nothing may be changed, "" where it may.
	reads string
	query url.Values
	sent  url.Values
	title string
}

// framed is what the frame of a page gets.
type framed struct {
	Page, Title, Reads, Assets string
	// Poll is where the script asks for the fragments; "" where there is nothing to ask for.
	Poll      string
	Fragments map[string]fragment
	Root      rest.Root
	Data      any
	Error     string
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer guard.Recover(nil, "console, "+r.Method+" "+r.URL.Path, nil, func(p *guard.Panic) {
		http.Error(w, p.Error(), http.StatusInternalServerError)
	})
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // none would have forms send Origin: null, which is refused
	h.Set("Cache-Control", "no-store")
	name := strings.TrimPrefix(r.URL.Path, "/console/")
	if file, ok := strings.CutPrefix(name, "assets/"); ok {
		c.asset(w, r, file)
		return
	}
	p, ok := pages[name]
	switch {
	case !ok:
		http.Error(w, "There is no such page", http.StatusNotFound)
		return
	case r.Method == http.MethodPost && p.post != nil:
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "expected GET", http.StatusMethodNotAllowed)
		return
	}
	v := &visit{asker: asker{c.API, r}, reads: c.Reads(r), query: r.URL.Query(), title: p.title}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "expected a form: "+err.Error(), http.StatusBadRequest)
			return
		}
		v.sent = r.PostForm
		p.load, p.private = p.post, true
	}
	c.serve(w, v, name, p)
}

func (c *console) asset(w http.ResponseWriter, r *http.Request, file string) {
	a, ok := c.assets[file]
	if !ok {
		http.Error(w, "There is no such file", http.StatusNotFound)
		return
	}
	if r.URL.RawQuery == c.version {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.data)))
	w.Write(a.data)
}

// serve answers with a page, or with those of its fragments that the script does not have.
func (c *console) serve(w http.ResponseWriter, v *visit, name string, p page) {
	known, alone := asksFragments(v.r)
	var data any
	made := func() rendered {
		var out rendered
		if data, out.err = p.load(v); out.err != nil {
			return out
		}
		for _, f := range p.fragments {
			one, err := newFragment(c.templates, fragmentName(name, f), v.with(data))
			if err != nil {
				return rendered{err: err}
			}
			one.Name = f
			out.fragments = append(out.fragments, one)
		}
		out.title = v.title
		return out
	}
	var out rendered
	if p.private || !alone {
		out = made()
	} else {
		seen := v.with(nil)
		key := fmt.Sprint(name, "?", withoutFragments(v.query), seen)
		v.r = v.r.WithContext(context.WithoutCancel(v.r.Context())) // it is made for others, too
		out = c.shared.get(key, made)
	}
	switch to := data.(type) {
	case download:
		to.write(w)
		return
	case redirect:
		to.write(w, alone)
		return
	}
	if alone {
		c.answerFragments(w, v, out, known)
		return
	}
	f := framed{Page: name, Title: out.title, Reads: v.reads, Assets: c.version, Data: v.with(data),
		Fragments: map[string]fragment{}}
	status := http.StatusOK
	if out.err != nil {
		f.Title, f.Error = "Not shown", out.err.Error()
		status = statusOf(out.err)
	} else if len(out.fragments) > 0 && v.sent == nil {
		f.Poll = pathOf(name) + "?" + withoutFragments(v.query)
	}
	for _, one := range out.fragments {
		f.Fragments[one.Name] = one
	}
	_ = v.get("GET /", &f.Root)
	var b bytes.Buffer
	if err := c.templates.ExecuteTemplate(&b, "frame", f); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// pathOf is the relative address of a page, from one beside it.
func pathOf(name string) string {
	if name == "" {
		return "./"
	}
	return name
}

// fragmentName is the template of a fragment.
func fragmentName(page, fragment string) string {
	if page == "" {
		page = "overview"
	}
	return page + "-" + fragment
}

func withoutFragments(q url.Values) string {
	clean := url.Values{}
	for name, values := range q {
		if name != fragmentsOf {
			clean[name] = values
		}
	}
	return clean.Encode()
}

func (c *console) answerFragments(w http.ResponseWriter, v *visit, out rendered, known string) {
	w.Header().Set("Content-Type", "application/json")
	if out.err != nil {
		w.WriteHeader(statusOf(out.err))
		_ = json.NewEncoder(w).Encode(map[string]string{"error": out.err.Error()})
		return
	}
	_ = json.NewEncoder(w).Encode(since(out.fragments, known))
}

// statusOf is the status of a page that cannot be shown: REST's own.
func statusOf(err error) int {
	if r, ok := err.(*refusal); ok {
		return r.Status
	}
	return http.StatusInternalServerError
}

// seen is what a template gets: the data of its page, and whose visit it is.
type seen struct {
	Data  any
	Reads string
	// Base is how the viewer calls the worker, for commands.
	Base string
	// User tells whether commands need a logon.
	User bool
}

func (v *visit) with(data any) seen {
	scheme := "http"
	if v.r.TLS != nil {
		scheme = "https"
	}
	_, _, user := v.r.BasicAuth()
	return seen{data, v.reads, scheme + "://" + v.r.Host, user}
}

func (v *visit) nothing() (any, error) {
	return nil, &refusal{http.StatusMethodNotAllowed, "expected a form that was sent by one of the pages"}
}

// redirect leads to a page beside this one.
type redirect string

func (to redirect) write(w http.ResponseWriter, script bool) {
	if script {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]redirect{"to": to})
		return
	}
	w.Header().Set("Location", string(to))
	w.WriteHeader(http.StatusSeeOther)
}

// download is a file that a browser is to keep.
type download struct{ name, kind, text string }

func (d download) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", d.kind)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.name}))
	w.Write([]byte(d.text))
}
