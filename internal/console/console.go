package console

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"slices"
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

// Environment describes the installation on every page of the console.
type Environment struct {
	Title  string // the name of the installation
	Accent string // its color: red, amber, green, blue, violet, or "" for no color
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
		panic(err) // does not happen: the files are part of the program
	}
	return gzhttp.GzipHandler(&console{Pages: p, Environment: e, version: digest(content),
		templates: template.Must(template.New("").Funcs(templateFuncs).ParseFS(pageFiles, "pages/*.html"))})
}

type page struct {
	title     string
	fragments []string
	load      func(*pageRequest) (any, error) // reads the data from REST, or returns an [answer] in place of the page
	post      func(*pageRequest) (any, error) // handles the form of the page; nil if it has no form
	isPrivate bool                            // it is not cached, since it shows records or the user's input
}

const home = "overview"

// pages has all pages, by the last segment of their path.
var pages = map[string]page{
	home:        {title: "Overview", fragments: []string{"figures", "filters", "list"}, load: (*pageRequest).overview},
	"connector": {fragments: []string{"head", "state", "charts", "feeds", "tasks", "events"}, load: (*pageRequest).connector},
	"records": {title: "Records", fragments: []string{"head", "rows"}, isPrivate: true, load: (*pageRequest).records,
		post: (*pageRequest).postRecords},
	"letters": {title: "Letters", fragments: []string{"head", "progress", "causes"}, isPrivate: true,
		load: (*pageRequest).deadLetters},
	"form": {title: "New connector", fragments: []string{"notice", "fields", "text", "review"}, isPrivate: true,
		load: (*pageRequest).form, post: (*pageRequest).postForm},
	"offsets": {title: "Offsets", fragments: []string{"head"}, load: (*pageRequest).offsets},
	"log":     {title: "Log", fragments: []string{"head", "lines"}, load: (*pageRequest).log},
	"workers": {title: "Workers", fragments: []string{"list"}, load: (*pageRequest).workers},
	"origins": {title: "Services", fragments: []string{"list"}, load: (*pageRequest).origins},
	"plugins": {title: "Plugins", fragments: []string{"list"}, load: (*pageRequest).plugins},
	"act": {title: "Done", fragments: []string{"outcome"}, isPrivate: true, load: (*pageRequest).rejectGet,
		post: (*pageRequest).act},
}

// pageInputs holds all parts of a request that decide what a page shows. It is the key of the cache, so viewers share a
// page only if all fields are equal. A page reads nothing else of the request; REST answers by its rights.
type pageInputs struct {
	name         string // in pages
	encodedQuery string // without the versions that the script has
	viewer
}

type pageRequest struct {
	client
	pageInputs
	isScript      bool       // the script requests only fragments, except the known ones
	knownVersions string     // see [rendered.answer]
	query         url.Values // the values of encodedQuery
	formValues    url.Values // of the form that was sent; nil without a form
	title         string
}

type viewer struct {
	rest.Rights
	Base       string // the URL of the worker as the viewer sees it, for curl commands
	NeedsLogon bool   // a curl command needs --user
}

func (c *console) viewer(r *http.Request) viewer {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	_, _, hasUser := r.BasicAuth()
	return viewer{Rights: c.Rights(r), Base: scheme + "://" + r.Host, NeedsLogon: hasUser}
}

// mayChange returns the error of a change that the viewer may not make.
func (v viewer) mayChange() error {
	if v.ReadOnlyReason != "" {
		return newRefusal(http.StatusForbidden, "This console only reads: "+v.ReadOnlyReason)
	}
	return nil
}

type pageData struct {
	viewer
	Data      any
	Fragments map[string]pageFragment // nil for a fragment itself
}

type frameData struct {
	Page           string
	Title          string
	ReadOnlyReason string
	Assets         string
	Environment
	Counts navCounts
	Poll   string // the query by which the script polls the fragments, "" if there are no fragments
	Root   rest.Root
	Head   template.HTML // replaces the heading on pages of a connector
	Body   template.HTML
	Error  string
	// Starting is what the start of the worker waits for. It replaces the body.
	Starting string
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer guard.Recover(nil, "console, "+r.Method+" "+r.URL.Path, nil, func(p *guard.PanicError) {
		http.Error(w, p.Error(), http.StatusInternalServerError)
	})
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, forms send Origin: null, which REST rejects
	h.Set("Cache-Control", "no-store")
	name := cmp.Or(strings.TrimPrefix(r.URL.Path, "/console/"), home)
	if strings.HasPrefix(name, "assets/") {
		data, err := assetFiles.ReadFile(name)
		if err != nil {
			http.Error(w, "There is no such file", http.StatusNotFound)
			return
		}
		// The names of vendor files have versions.
		if r.URL.RawQuery == c.version || strings.HasPrefix(name, "assets/vendor/") {
			h.Set("Cache-Control", "private, max-age=31536000, immutable") // a year
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
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
	pr := &pageRequest{client: client{api: c.API, r: r}, query: r.URL.Query(), title: p.title}
	pr.isScript = pr.query.Has(fragmentsParameter)
	pr.knownVersions = pr.query.Get(fragmentsParameter)
	pr.query.Del(fragmentsParameter)
	pr.pageInputs = pageInputs{name: name, encodedQuery: pr.query.Encode(), viewer: c.viewer(r)}
	if r.Method == http.MethodPost {
		form, release, ok := c.Form(w, r, maxForm)
		defer release()
		if !ok {
			return
		}
		pr.formValues = form
		p.load = p.post
		p.isPrivate = true
	}
	if c.Starting != nil && !pr.isScript && pr.formValues == nil {
		if reason := c.Starting(); reason != nil {
			// The browser requests this page again after refreshSeconds, also without script.
			w.Header().Set("Refresh", refreshSeconds)
			c.answerFrame(w, pr, frameData{Page: pr.section(name), Title: "Starting", ReadOnlyReason: pr.ReadOnlyReason,
				Assets: c.version, Environment: c.Environment, Starting: reason.Error()}, http.StatusServiceUnavailable)
			return
		}
	}
	c.serve(w, pr, name, p)
}

// serve answers with a page, or with the fragments that the script does not have.
func (c *console) serve(w http.ResponseWriter, pr *pageRequest, name string, p page) {
	counts := make(chan navCounts, 1)
	if !pr.isScript && pr.formValues == nil && name != "act" { // act has no page without a form
		go pr.readCounts(counts, name)
	} else {
		close(counts)
	}
	if pr.isScript && !p.isPrivate {
		pr.r = pr.r.WithContext(context.WithoutCancel(pr.r.Context())) // other viewers get the fragments, too
		c.cache.answer(pr.pageInputs, pr.knownVersions, func() rendered {
			_, content := c.render(pr, name, p)
			return content
		}).write(c.Pages, w, pr.r)
		return
	}
	data, content := c.render(pr, name, p)
	switch response, ok := data.(answer); {
	case ok:
		response.write(c.Pages, w, pr)
	case pr.isScript:
		content.answer(pr.knownVersions, nil).write(c.Pages, w, pr.r)
	default:
		c.answerPage(w, pr, name, data, content, counts)
	}
}

// render loads the data of a page and renders its fragments. data is an [answer] if it replaces the page.
func (c *console) render(pr *pageRequest, name string, p page) (data any, content rendered) {
	data, err := p.load(pr)
	if err != nil {
		return nil, rendered{err: err}
	}
	if _, ok := data.(answer); ok {
		return data, content
	}
	content.fragments = map[string]pageFragment{}
	for _, fragment := range p.fragments {
		template := name + "-" + fragment
		if fragment == "head" { // equal on all pages of a connector
			template = fragment
		}
		html, err := c.execute(template, pageData{viewer: pr.viewer, Data: data})
		if err != nil {
			return nil, rendered{err: err}
		}
		content.fragments[fragment] = pageFragment{Name: fragment, Version: digest([]byte(html)), HTML: html}
	}
	return data, content
}

func (c *console) execute(name string, data any) (template.HTML, error) {
	var b strings.Builder
	err := c.templates.ExecuteTemplate(&b, name, data)
	return template.HTML(b.String()), err
}

func (c *console) answerPage(w http.ResponseWriter, pr *pageRequest, name string, data any, content rendered,
	counts <-chan navCounts) {
	frame := frameData{Page: pr.section(name), Title: pr.title, ReadOnlyReason: pr.ReadOnlyReason,
		Assets: c.version, Environment: c.Environment}
	err := content.err
	if err == nil {
		if head := content.fragments["head"]; strings.Contains(string(head.HTML), "<h1") { // else it is empty
			frame.Head, err = c.execute("fragment", head)
		}
	}
	if form, ok := data.(*formPage); ok && err == nil && form.Head != nil { // the script does not poll it
		head := pageFragment{Name: "head"}
		if head.HTML, err = c.execute("head", pageData{viewer: pr.viewer, Data: data}); err == nil {
			frame.Head, err = c.execute("fragment", head)
		}
	}
	if err == nil {
		frame.Body, err = c.execute(name, pageData{pr.viewer, data, content.fragments})
	}
	status := http.StatusOK
	if err != nil {
		frame.Title = "This page cannot be shown"
		frame.Error = err.Error()
		status = statusOf(err)
	} else if pr.formValues == nil {
		frame.Poll = "?" + pr.query.Encode()
	}
	frame.Counts = <-counts
	if p, ok := data.(overviewPage); ok && p.Search == "" { // readCounts has not read them
		frame.Counts.Letters = p.LettersOpen
	}
	c.answerFrame(w, pr, frame, status)
}

const refreshSeconds = "2"

func (c *console) answerFrame(w http.ResponseWriter, pr *pageRequest, frame frameData, status int) {
	_ = pr.get("GET /", &frame.Root)
	var html bytes.Buffer
	if err := c.templates.ExecuteTemplate(&html, "frame", frame); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.Send(w, pr.r, status, html.Bytes())
}

func statusOf(err error) int {
	if r, ok := errors.AsType[*rest.Refusal](err); ok {
		return r.Status
	}
	return http.StatusInternalServerError
}

func (pr *pageRequest) rejectGet() (any, error) {
	return nil, newRefusal(http.StatusMethodNotAllowed, "expected a form that was sent by one of the pages")
}

// answer is a response to a form in place of a page.
type answer interface {
	write(p rest.Pages, w http.ResponseWriter, pr *pageRequest)
}

// redirect is the address to continue at. The script receives it as JSON.
type redirect string

func (r redirect) write(_ rest.Pages, w http.ResponseWriter, pr *pageRequest) {
	if pr.isScript {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = json.NewEncoder(w).Encode(map[string]redirect{"to": r})
		return
	}
	w.Header().Set("Location", string(r))
	w.WriteHeader(http.StatusSeeOther)
}

type download struct{ name, mediaType, text string }

func (d download) write(p rest.Pages, w http.ResponseWriter, pr *pageRequest) {
	w.Header().Set("Content-Type", d.mediaType)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.name}))
	p.Send(w, pr.r, http.StatusOK, []byte(d.text))
}
