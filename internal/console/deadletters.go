package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/console/tree"
	"github.com/culvert-project/culvert/internal/rest"
)

// deadLettersPage is the page of a connector's dead letters or, without Head, of all connectors by their dead letters.
type deadLettersPage struct {
	Head   *connectorHead
	Name   string
	Filter url.Values // the query of the page, apart from its place and the open letter
	After  string
	Loaded string // the end of the times of failure of the letters that the page may show, in RFC 3339
	rest.DeadLetterList
	EmptyReason string
	Letter      *openLetter        // is open in the drawer; nil if no letter is
	List        rest.ConnectorList // of the page of all connectors
}

// openLetter is a letter in the drawer.
type openLetter struct {
	*rest.DeadLetter
	Key   *tree.Document // nil is no JSON
	Value *tree.Document
}

const lettersRoute = "GET /culvert/connectors/{name}/deadletters"

func (pr *pageRequest) deadLetters() (any, error) {
	p := deadLettersPage{Name: pr.query.Get("name"), Filter: filterOf(pr.query), After: pr.query.Get("after"),
		Loaded: time.Now().UTC().Add(time.Second).Format(time.RFC3339)} // rounded up: the format has no fraction
	var err error
	p.Head, err = pr.head(p.Name, "letters")
	switch {
	case err != nil:
		return nil, err
	case p.Head == nil:
		_, err = pr.getOfGroup("GET /culvert/connectors", pairs("limit", strconv.Itoa(perPage), "sort", "letters",
			"after", p.After), &p.List)
		return p, err
	}
	selected := filterOf(p.Filter)
	if p.After != "" {
		selected.Set("after", p.After)
	}
	if since := sinceOf(p.Filter); since != "" {
		selected.Set("since", since)
	}
	err = pr.get(lettersRoute+"?"+selected.Encode(), &p.DeadLetterList, p.Name)
	if isRefused(err, 400) || isRefused(err, 404) || isRefused(err, 500) {
		p.EmptyReason = err.Error() // the page still has its head and its filter
		return p, nil
	}
	position := pr.query.Get("letter")
	if err != nil || position == "" || pr.isScript { // no fragment has it, since the user may edit it
		return p, err
	}
	opened, err := pr.deadLetter(p.Name, position)
	if opened != nil {
		p.Letter = &openLetter{DeadLetter: opened}
		if r := opened.Record; r != nil && r.Key != nil && !r.KeyCut && !r.Base64 {
			p.Letter.Key = tree.Parse(*r.Key, "")
		}
		if canEdit(opened) {
			p.Letter.Value = tree.Parse(*opened.Record.Value, "")
		}
		if p.Letter.Value != nil {
			p.Letter.Value.Mark(opened.Message)
			if !opened.IsSettled() && !p.Head.ReadOnly {
				p.Letter.Value.AllowEdits()
			}
		}
	}
	return p, err
}

// deadLetter returns a letter, nil if it is not in the topic any more.
func (pr *pageRequest) deadLetter(name, position string) (*rest.DeadLetter, error) {
	var list rest.DeadLetterList
	err := pr.get(lettersRoute+query("letter", position), &list, name)
	if err != nil || len(list.DeadLetters) == 0 {
		return nil, err
	}
	return &list.DeadLetters[0], nil
}

// letterFilters are the parameters that select letters.
var letterFilters = []string{"show", "cause", "error", "since", "until", "superseded"}

func filterOf(form url.Values) url.Values {
	filter := url.Values{}
	for _, name := range letterFilters {
		if value := form.Get(name); value != "" {
			filter.Set(name, value)
		}
	}
	return filter
}

// Show returns which letters are listed: open, settled or all.
func (p deadLettersPage) Show() string { return cmp.Or(p.Filter.Get("show"), "open") }

// Link returns the address of this page with other parameters: alternating names and values. It begins with the newest
// letter, unless the changes have a place.
func (p deadLettersPage) Link(changes ...string) string {
	link := filterOf(p.Filter)
	link.Set("name", p.Name)
	for i := 0; i+1 < len(changes); i += 2 {
		link.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			link.Del(changes[i])
		}
	}
	return "letters?" + link.Encode()
}

// OlderCondition returns which records the box older also sends.
func (p deadLettersPage) OlderCondition() string {
	if p.Head.Status.Type == "source" {
		return "whose key has a later record in the topic that the connector writes"
	}
	return "whose key has a later record in the topic that the connector reads, or that have no key and any later " +
		"record"
}

// selection selects exactly the dead letters in the form, also if it has none, or all that match its filter.
func selection(form url.Values) rest.DeadLetterSelection {
	if form.Get("matching") == "" {
		return rest.DeadLetterSelection{Positions: append([]string{}, form["letter"]...)}
	}
	return rest.DeadLetterSelection{Cause: form.Get("cause"), Error: form.Get("error"), Since: sinceOf(form),
		Until: cmp.Or(form.Get("until"), form.Get("loaded")), Superseded: form.Get("superseded") != ""}
}

// sinceOf returns the first time of failure in a form, which a user may type as how long ago that was.
func sinceOf(form url.Values) string {
	since := form.Get("since")
	if ago, err := time.ParseDuration(since); err == nil {
		return time.Now().UTC().Add(-ago).Format(time.RFC3339)
	}
	return since
}

// editLetter sets the value of a retry: the stored one with the fields of the form, or the text of the form if that
// differs from the stored one. It sets no value if nothing was edited, and refuses fields and a text that both were.
func (pr *pageRequest) editLetter(form url.Values) error {
	if !form.Has("value") {
		return nil
	}
	stored, err := pr.deadLetter(form.Get("name"), form.Get("letter"))
	if err != nil || stored == nil || !canEdit(stored) {
		form.Del("value")
		return err
	}
	value := *stored.Record.Value
	if document := tree.Parse(value, ""); document != nil {
		fields := map[string]string{}
		for name := range form {
			if path, ok := strings.CutPrefix(name, fieldPrefix); ok {
				fields[path] = form.Get(name)
			}
		}
		if value, err = document.Edit(fields); err != nil {
			return newRefusal(http.StatusBadRequest, err.Error())
		}
	}
	rawJSON := strings.ReplaceAll(form.Get("value"), "\r\n", "\n")
	switch *stored.Record.Value {
	case rawJSON: // the text was not edited
		form.Set("value", value)
	case value: // no field was edited
		form.Set("value", rawJSON)
	default:
		return newRefusal(http.StatusBadRequest, "Fields and the raw JSON were both edited: change only one of them")
	}
	if rawJSON == value {
		form.Del("value")
	}
	return nil
}

// canEdit reports whether a value is complete text that a browser does not change and that a retry can send.
func canEdit(l *rest.DeadLetter) bool {
	if l.Record == nil || l.Record.Value == nil || l.Record.Base64 || l.Record.Cut || isUneditable(l.Record.Value) {
		return false
	}
	encoded, err := json.Marshal(l.Record.Value)
	return err == nil && len(encoded) <= rest.MaxRetryValue
}

// isUneditable reports whether a value has characters that the field of a browser changes.
func isUneditable(value *string) bool { return strings.ContainsAny(*value, "\r\x00") }

// keyLine returns the fields of a key in one line, or the key itself if it is no JSON.
func keyLine(key string) string {
	if document := tree.Parse(key, ""); document != nil {
		return document.Line()
	}
	return key
}
