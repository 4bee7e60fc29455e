package console

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/rest"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// policy allows only resources of this worker: no inline script or style, no frames.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// maxForm bounds a form, which may have a configuration twice.
const maxForm = 4 << 20

// Environment is how every page of the console shows the installation.
type Environment struct {
	// Title is the name of the installation, Accent its color: red, amber, green, blue, violet, or "" for none.
	Title  string
	Accent string
}

type console struct {
	rest.Pages
	Environment
	templates *template.Template
	version   string // of all assets
	cache     pageCache
}

// New returns the handler of the console's pages.
func (e Environment) New(p rest.Pages) http.Handler {
	var content []byte
	err := fs.WalkDir(assetFiles, "assets", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := assetFiles.ReadFile(path)
		content = append(content, data...)
		return err
	})
	if err != nil {
		panic(err) // it is part of the program
	}
	return gzhttp.GzipHandler(&console{Pages: p, Environment: e, version: digest(content),
		templates: template.Must(template.New("").Funcs(templateFuncs).ParseFS(pageFiles, "pages/*.html"))})
}

type page struct {
	title     string
	fragments []string
	// load reads the data of the page from REST, or returns an [answer] instead. A private page is not cached, since it
	// shows records or the user's input.
	load    func(*pageRequest) (any, error)
	private bool
	// post handles the page's form. Nil means that it has none.
	post func(*pageRequest) (any, error)
}

const home = "overview"

// pages has all pages, by the last segment of their path.
var pages = map[string]page{
	home:        {title: "Overview", fragments: []string{"figures", "filters", "list"}, load: (*pageRequest).overview},
	"connector": {fragments: []string{"head", "state", "charts", "feeds", "tasks"}, load: (*pageRequest).connector},
	"records": {title: "Records", fragments: []string{"head", "rows"}, private: true, load: (*pageRequest).records,
		post: (*pageRequest).postRecords},
	"letters": {title: "Letters", fragments: []string{"head", "causes"}, private: true, load: (*pageRequest).deadLetters},
	"form": {title: "New connector", fragments: []string{"notice", "fields", "text", "review"}, private: true,
		load: (*pageRequest).form, post: (*pageRequest).postForm},
	"offsets": {title: "Offsets", fragments: []string{"head"}, load: (*pageRequest).offsets},
	"log":     {title: "Log", fragments: []string{"head", "lines"}, load: (*pageRequest).log},
	"workers": {title: "Workers", fragments: []string{"list"}, load: (*pageRequest).workers},
	"origins": {title: "Services", fragments: []string{"list"}, load: (*pageRequest).origins},
	"plugins": {title: "Plugins", fragments: []string{"list"}, load: (*pageRequest).plugins},
	"act": {title: "Done", fragments: []string{"outcome"}, private: true, load: (*pageRequest).rejectGet,
		post: (*pageRequest).act},
}

type pageRequest struct {
	client
	viewer
	// script requests only fragments, except known ones, see [rendered.answer].
	script bool
	known  string
	query  url.Values
	posted url.Values
	title  string
}

type viewer struct {
	// ReadOnlyReason is why nothing may be changed, "" if it may.
	ReadOnlyReason string
	// Base and NeedsLogon are for curl commands: the URL of the worker as the user sees it, and whether it has users.
	Base       string
	NeedsLogon bool
}

func (c *console) viewer(r *http.Request) viewer {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	_, _, user := r.BasicAuth()
	return viewer{c.ReadOnlyReason(r), scheme + "://" + r.Host, user}
}

// mayChange returns the error of a change that the viewer may not make.
func (v viewer) mayChange() error {
	if v.ReadOnlyReason != "" {
		return refuse(http.StatusForbidden, "This console only reads: "+v.ReadOnlyReason)
	}
	return nil
}

type pageData struct {
	viewer
	Data any
	// Fragments is nil for a fragment itself.
	Fragments map[string]pageFragment
}

type frameData struct {
	Page           string
	Title          string
	ReadOnlyReason string
	Assets         string
	Environment
	Counts navCounts
	// Poll is the query by which the script polls the fragments, "" if there are none.
	Poll string
	Root rest.Root
	// Head replaces the heading on pages of a connector.
	Head  template.HTML
	Body  template.HTML
	Error string
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer guard.Recover(nil, "console, "+r.Method+" "+r.URL.Path, nil, func(p *guard.PanicError) {
		http.Error(w, p.Error(), http.StatusInternalServerError)
	})
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // none would have forms send Origin: null, which is refused
	h.Set("Cache-Control", "no-store")
	name := cmp.Or(strings.TrimPrefix(r.URL.Path, "/console/"), home)
	if strings.HasPrefix(name, "assets/") {
		c.asset(w, r, name)
		return
	}
	p, ok := pages[name]
	if !ok {
		http.Error(w, "There is no such page", http.StatusNotFound)
		return
	}
	allowed := []string{http.MethodGet, http.MethodHead}
	if p.post != nil {
		allowed = append(allowed, http.MethodPost)
	}
	if !slices.Contains(allowed, r.Method) {
		h.Set("Allow", strings.Join(allowed, ", "))
		http.Error(w, "expected "+h.Get("Allow"), http.StatusMethodNotAllowed)
		return
	}
	v := &pageRequest{client: client{c.API, r}, viewer: c.viewer(r), query: r.URL.Query(), title: p.title}
	v.script = v.query.Has(fragmentsParameter)
	v.known = v.query.Get(fragmentsParameter)
	v.query.Del(fragmentsParameter)
	if r.Method == http.MethodPost {
		form, release, ok := c.Form(w, r, maxForm)
		defer release()
		if !ok {
			return
		}
		v.posted = form
		p.load = p.post
		p.private = true
	}
	c.serve(w, v, name, p)
}

func (c *console) asset(w http.ResponseWriter, r *http.Request, file string) {
	data, err := assetFiles.ReadFile(file)
	if err != nil {
		http.Error(w, "There is no such file", http.StatusNotFound)
		return
	}
	if r.URL.RawQuery == c.version || strings.HasPrefix(file, "assets/vendor/") { // their names have the version
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, file, time.Time{}, bytes.NewReader(data))
}

// serve answers with a page, or with the fragments that the script does not have.
func (c *console) serve(w http.ResponseWriter, v *pageRequest, name string, p page) {
	counts := make(chan navCounts, 1)
	if !v.script && v.posted == nil && name != "act" { // which has no page of its own
		go v.readCounts(counts, name)
	} else {
		close(counts)
	}
	if v.script && !p.private {
		v.r = v.r.WithContext(context.WithoutCancel(v.r.Context())) // they are made for others, too
		key := fmt.Sprint(name, "?", v.query.Encode(), v.viewer)
		c.cache.answer(key, v.known, func() rendered {
			_, content := c.render(v, name, p)
			return content
		}).write(w, v.r)
		return
	}
	data, content := c.render(v, name, p)
	switch other, ok := data.(answer); {
	case ok:
		other.write(w, v.script)
	case v.script:
		content.answer(v.known, nil).write(w, v.r)
	default:
		c.answerPage(w, v, name, data, content, counts)
	}
}

func (c *console) render(v *pageRequest, name string, p page) (data any, content rendered) {
	data, err := p.load(v)
	if err != nil {
		return nil, rendered{err: err}
	}
	if _, ok := data.(answer); ok {
		return data, content
	}
	content.fragments = map[string]pageFragment{}
	for _, f := range p.fragments {
		template := name + "-" + f
		if f == "head" { // equal on all pages of a connector
			template = f
		}
		html, err := c.execute(template, pageData{viewer: v.viewer, Data: data})
		if err != nil {
			return nil, rendered{err: err}
		}
		content.fragments[f] = pageFragment{Name: f, Version: digest([]byte(html)), HTML: html}
	}
	return data, content
}

func (c *console) execute(name string, data any) (template.HTML, error) {
	var b strings.Builder
	err := c.templates.ExecuteTemplate(&b, name, data)
	return template.HTML(b.String()), err
}

func (c *console) answerPage(w http.ResponseWriter, v *pageRequest, name string, data any, content rendered,
	counts <-chan navCounts) {
	frame := frameData{Page: v.section(name), Title: v.title, ReadOnlyReason: v.ReadOnlyReason,
		Assets: c.version, Environment: c.Environment}
	err := content.err
	if err == nil {
		if head := content.fragments["head"]; strings.Contains(string(head.HTML), "<h1") { // else it is empty
			frame.Head, err = c.execute("fragment", head)
		}
	}
	if form, ok := data.(*formPage); ok && err == nil && form.Head != nil { // it is not polled
		head := pageFragment{Name: "head"}
		if head.HTML, err = c.execute("head", pageData{viewer: v.viewer, Data: data}); err == nil {
			frame.Head, err = c.execute("fragment", head)
		}
	}
	if err == nil {
		frame.Body, err = c.execute(name, pageData{v.viewer, data, content.fragments})
	}
	status := http.StatusOK
	if err != nil {
		frame.Title = "Not shown"
		frame.Error = err.Error()
		status = statusOf(err)
	} else if v.posted == nil {
		frame.Poll = "?" + v.query.Encode()
	}
	frame.Counts = <-counts
	if p, ok := data.(overviewPage); ok && p.Search == "" {
		frame.Counts.Letters = p.LettersOpen
	}
	_ = v.get("GET /", &frame.Root)
	html, err := c.execute("frame", frame)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(html)))
	w.WriteHeader(status)
	io.WriteString(w, string(html))
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func statusOf(err error) int {
	if r, ok := errors.AsType[*rest.Refusal](err); ok {
		return r.Status
	}
	return http.StatusInternalServerError
}

func (pr *pageRequest) rejectGet() (any, error) {
	return nil, refuse(http.StatusMethodNotAllowed, "expected a form that was sent by one of the pages")
}

// answer is a response to a form other than a page.
type answer interface {
	write(w http.ResponseWriter, script bool)
}

type redirect string

func (r redirect) write(w http.ResponseWriter, script bool) {
	if script {
		answerJSON(w, http.StatusOK, map[string]redirect{"to": r})
		return
	}
	w.Header().Set("Location", string(r))
	w.WriteHeader(http.StatusSeeOther)
}

type download struct{ name, kind, text string }

func (d download) write(w http.ResponseWriter, _ bool) {
	w.Header().Set("Content-Type", d.kind)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.name}))
	io.WriteString(w, d.text)
}
