package console

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/rest"
)

// deadLettersPage is the page of a connector's dead letters or, without Head, of all connectors by their dead letters.
type deadLettersPage struct {
	Head  *connectorHead
	Name  string
	Show  string // open, settled or all
	Cause string // the id of the only cause that is shown
	After string
	rest.DeadLetterList
	EmptyReason string
	Letter      *rest.DeadLetter   // is open in the drawer; nil if no letter is
	List        rest.ConnectorList // of the page of all connectors
}

func (pr *pageRequest) deadLetters() (any, error) {
	p := deadLettersPage{Name: pr.query.Get("name"), Show: cmp.Or(pr.query.Get("show"), "open"),
		Cause: pr.query.Get("cause"), After: pr.query.Get("after")}
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
	const route = "GET /culvert/connectors/{name}/deadletters"
	err = pr.get(route+query("show", p.Show, "cause", p.Cause, "after", p.After), &p.DeadLetterList, p.Name)
	if isRefused(err, 404) || isRefused(err, 500) {
		p.EmptyReason = err.Error()
		return p, nil
	}
	letter := pr.query.Get("letter")
	if err != nil || letter == "" || pr.isScript { // no fragment has it, since the user may edit it
		return p, err
	}
	var opened rest.DeadLetterList
	if err = pr.get(route+query("letter", letter), &opened, p.Name); err == nil && len(opened.DeadLetters) > 0 {
		p.Letter = &opened.DeadLetters[0]
	}
	return p, err
}

// Link returns the address of this page with another filter.
func (p deadLettersPage) Link(show, cause, after, letter string) string {
	return "letters" + query("name", p.Name, "show", show, "cause", cause, "after", after, "letter", letter)
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

func valueID(value *string) string { return elementID("value", *value) }
