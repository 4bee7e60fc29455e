package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/console/fields"
	"github.com/culvert-project/culvert/internal/rest"
)

// formPage is a configuration as fields and as text. The text is authoritative: fields are derived from it, and edited
// fields change their lines, so that comments, order and settings without a field are kept.
//
// A typed password stays in its field until it is applied: the text has [config.Mask] instead, and no response contains
// it. Without the script the browser has to send it again with each step.
type formPage struct {
	Name string
	// New means that the connector does not exist yet, with one of Classes.
	New     bool
	Classes []connect.Plugin
	// Base is the text as sent to the browser, to find edited fields; Text is the current one, of the stored Version.
	Base    string
	Text    string
	Version string
	Head    *connectorHead
	Steps   []fields.Step
	// Problems concern the whole text.
	Problems []string
	// Retype lists typed secrets, which must be typed again without the script.
	Retype []string
	// Compared is the reviewed effect. Nil means that no review was requested.
	Compared *rest.Comparison
	// Changed is what has changed since the review, or since the page was opened.
	Changed string
	logonResult
	Command string
	// Peeked has the rows of one set, requested by its button.
	Peeked peekedSet
}

// logonResult is the result of *Check logon*.
type logonResult struct {
	// Checked means that the service was asked.
	Checked bool
	// Accepted is the user that it accepted, Unanswered why that is unknown.
	Accepted   string
	Unanswered string
}

const fieldPrefix = "f."

func (pr *pageRequest) form() (any, error) {
	if pr.query.Has("name") {
		p, err := pr.stored(pr.query.Get("name"))
		return pr.prepare(p), err
	}
	p := &formPage{New: true}
	var err error
	if class := pr.query.Get("class"); class == "" {
		err = pr.get("GET /connector-plugins", &p.Classes)
	} else {
		p.Text, err = config.Edit("", map[string]string{"connector.class": class, "name": ""})
	}
	return pr.prepare(p), err
}

// stored returns the stored configuration of a connector.
func (pr *pageRequest) stored(name string) (p *formPage, err error) {
	p = &formPage{Name: name}
	if p.Head, err = pr.head(name, "form"); err != nil || p.Head == nil {
		return p, cmp.Or(err, refuse(400, "expected the name of a connector in the address"))
	}
	p.Text = p.Head.config
	p.Version = p.Head.version
	return p, p.Head.configErr
}

func (pr *pageRequest) prepare(p *formPage) *formPage {
	p.Base = p.Text
	p.failed(pr.validate(p, nil, ""))
	return p
}

func (p *formPage) failed(err error) {
	if err != nil {
		p.Problems = append(p.Problems, err.Error())
	}
}

// withChain returns the stored configuration with the transforms and predicates of the records page.
func (pr *pageRequest) withChain() (any, error) {
	p, err := pr.stored(pr.posted.Get("name"))
	if err != nil {
		return nil, err
	}
	settings, problem := settingsOf(p.Text)
	chain, wrong := settingsOf(pr.lines("chain"))
	if wrong != "" {
		problem = "The chain is invalid: " + wrong
	}
	if problem != "" {
		p.Problems = append(p.Problems, problem)
		return pr.prepare(p), nil
	}
	maps.DeleteFunc(settings, func(key, _ string) bool { return isChainSetting(key) })
	maps.DeleteFunc(chain, func(key, _ string) bool { return !isChainSetting(key) })
	maps.Copy(settings, chain)
	p.Text, err = config.Edit(p.Text, settings)
	return pr.prepare(p), err
}

func (pr *pageRequest) lines(field string) string {
	return strings.ReplaceAll(pr.posted.Get(field), "\r\n", "\n")
}

func (pr *pageRequest) postForm() (any, error) {
	step := pr.posted.Get("step")
	if step == "chain" {
		return pr.withChain()
	}
	p := &formPage{Name: pr.posted.Get("name"), New: pr.posted.Get("new") != "", Version: pr.posted.Get("version"),
		Base: pr.lines("base")}
	if !p.New && !pr.script && step != "download" {
		p.Head, _ = pr.head(p.Name, "form") // its name is enough
	}
	edited, typed, problem := pr.applyFields(pr.lines("text"), p.Base)
	p.Text = edited
	p.Retype = slices.Sorted(maps.Keys(typed))
	settings, wrong := settingsOf(edited)
	if p.New {
		p.Name = settings["name"]
	}
	problem = cmp.Or(problem, wrong)
	switch {
	case step == "download":
		return download{fileName(cmp.Or(settings["name"], p.Name, "connector")) + ".properties",
			propertiesType + "; charset=utf-8", edited}, nil
	case problem != "": // keep the fields of the previous text
		p.Problems = append(p.Problems, problem)
		return p, nil
	}
	p.Base = edited
	maps.Copy(settings, typed)
	full, err := config.Edit(edited, settings)
	switch {
	case err != nil:
		return nil, err
	case step == "apply" && pr.posted.Get("reviewed") == p.ReviewToken():
		if err = pr.apply(p, full); err == nil {
			return redirect("connector?" + pairs("name", p.Name).Encode()), nil
		}
	case step == "apply":
		p.Changed = "The form was changed after the review: check the effect now, then apply it."
		fallthrough
	case step == "review":
		err = pr.review(p, full)
	}
	p.failed(err)
	err = pr.validate(p, typed, step)
	if pr.script && (isRefused(err, http.StatusConflict) || isRefused(err, http.StatusServiceUnavailable)) {
		// only for the moment: the script asks again
		return nil, err
	}
	p.failed(err)
	if group, ok := strings.CutPrefix(step, peekStep); ok {
		pr.peek(p, group, settings)
	}
	return p, nil
}

// ReviewToken identifies the text and which secrets were typed, to apply only what was reviewed. It does not contain
// the secrets.
func (p *formPage) ReviewToken() string { return elementID("reviewed", p.Text, p.Retype) }

// applyFields applies the fields to the text. It returns typed secrets; the text has the mask instead.
func (pr *pageRequest) applyFields(text, base string) (edited string, typed map[string]string, problem string) {
	settings, problem := settingsOf(text)
	if problem != "" {
		return text, nil, problem
	}
	baseSettings, _ := settingsOf(base)
	typed = map[string]string{}
	for name, values := range pr.posted {
		key, ok := strings.CutPrefix(name, fieldPrefix)
		if !ok {
			continue
		}
		value := values[0]
		secret := pr.posted.Get("s."+key) != ""
		switch previous := baseSettings[key]; {
		case secret && value == "" && !config.IsReference(previous): // unchanged
		case secret && value != "" && !config.IsReference(value):
			typed[key] = value
			settings[key] = config.Mask
		case fields.OneLine(value) == fields.OneLine(previous): // an input field has no line ends
		case value == "":
			delete(settings, key)
		default:
			settings[key] = value
		}
	}
	edited, err := config.Edit(text, settings)
	if err != nil {
		return text, nil, err.Error()
	}
	return edited, typed, ""
}

// validate builds the fields from the settings' declarations. The step check may try a new secret. Errors of a new
// connector's empty fields are shown after it in the step of the service, and after a review.
func (pr *pageRequest) validate(p *formPage, typed map[string]string, step string) error {
	settings, problem := settingsOf(p.Text)
	if problem != "" {
		return errors.New(problem)
	}
	class := settings["connector.class"]
	if class == "" {
		return nil
	}
	sent := maps.Clone(settings)
	maps.Copy(sent, typed)
	route := "PUT /connector-plugins/{name}/config/validate"
	if step == "check" {
		route = route + "?logon=check"
		p.Checked = true
	}
	var found check.Validation
	if _, err := pr.call(route, nil, sent, &found, class); err != nil {
		return err
	}
	revealed := fields.All
	if step == "check" && p.New {
		revealed = fields.Sets // the service before them
	} else if p.New && step != "review" && step != "apply" {
		revealed = 0
	}
	p.Steps = fields.Steps(found, settings, revealed)
	if found.Logon == check.LogonAccepted {
		p.Accepted = cmp.Or(found.User, "The logon")
	} else if p.Checked {
		p.Unanswered = found.Logon
	}
	return nil
}

// peekedSet has the first rows of an entity set, or why there are none.
type peekedSet struct {
	Group   string
	Set     string
	Problem string
	peekedRows
}

type peekedRows struct {
	Fields []struct {
		Name string
		Type string
	}
	Rows []map[string]json.RawMessage
}

// peekStep precedes the group of a set in the name of a step.
const peekStep = "peek:"

// peek reads three rows of the set of a group with all settings, including typed secrets.
func (pr *pageRequest) peek(p *formPage, name string, settings map[string]string) {
	p.Peeked.Group = name
	if p.Steps == nil { // the settings could not be checked, which the page says
		return
	}
	groups := p.Steps[fields.Sets].Groups
	i := slices.IndexFunc(groups, func(g fields.Group) bool { return g.Name == name && g.Set != "" })
	if i < 0 {
		return
	}
	p.Peeked.Set = groups[i].Set
	options := map[string]string{"s": groups[i].Service, "e": groups[i].Set, "n": "3"}
	var answer rest.ToolAnswer
	err := pr.mayChange()
	if err == nil {
		_, err = pr.call("POST /culvert/peek", nil, map[string]any{"config": settings, "options": options}, &answer)
	}
	if err == nil {
		err = json.Unmarshal(answer.Document, &p.Peeked.peekedRows)
	}
	if err != nil {
		p.Peeked.Problem = err.Error()
	}
}

func (pr *pageRequest) review(p *formPage, full string) error {
	var c rest.Comparison
	sent := map[string]string{"name": p.Name, "text": full} // a text may be empty
	if _, err := pr.call("POST /culvert/diff", nil, sent, &c); err != nil {
		return err
	}
	p.Compared = &c
	if c.Version != p.Version && !p.New {
		p.Changed += " The configuration was changed after this page was opened: the differences below are to the " +
			"running configuration."
		p.Version = c.Version
	}
	p.Command = pr.curl("PUT /connectors/{name}/config", p.Name+".properties", p.Name)
	return nil
}

func (pr *pageRequest) apply(p *formPage, full string) error {
	if err := pr.mayChange(); err != nil {
		return err
	}
	header := http.Header{"If-Match": {strconv.Quote(p.Version)}}
	if p.New {
		header = http.Header{"If-None-Match": {"*"}}
	}
	_, err := pr.call("PUT /connectors/{name}/config", header, full, nil, p.Name)
	if isRefused(err, http.StatusPreconditionFailed) {
		p.Changed = "Nothing was stored. Open the page again to see the change, or review again to overwrite it."
	}
	return err
}
