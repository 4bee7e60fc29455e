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
	"github.com/culvert-project/culvert/internal/rest"
)

// formPage is a configuration as fields and as text. The text is authoritative: fields are derived from it, and edited
// fields change their lines, so that comments, order and settings without a field are kept.
//
// A typed password stays in its field until it is applied: the text has [config.Mask] instead, and no response contains
// it. Without the script the browser has to send it again with each step.
type formPage struct {
	Name     string
	New      bool             // the connector does not exist yet
	Classes  []connect.Plugin // to choose from, if it is new and has no class
	Base     string           // the text as sent to the browser, to find edited fields
	Text     string           // the current text
	Version  string           // of the stored configuration
	Head     *connectorHead
	Steps    []formStep
	Problems []string         // of the whole text
	Retype   []string         // the settings of typed secrets, which must be typed again without the script
	Compared *rest.Comparison // the reviewed effect; nil means that no review was requested
	Changed  string           // what has changed since the review, or since the page was opened
	logonResult
	Command string
	Peeked  peekedSet // rows of one set, requested by its button
}

// logonResult is the result of *Check logon*.
type logonResult struct {
	Checked    bool   // the service was asked
	Accepted   string // the user that it accepted
	Unanswered string // why it is unknown whether it accepts the user
}

// Prefixes of a setting's name in the form.
const (
	fieldPrefix  = "f." // of the field with the value
	secretPrefix = "s." // of a hidden field that marks the value as a secret
)

func (pr *pageRequest) form() (any, error) {
	if pr.query.Has("name") {
		p, err := pr.loadStored(pr.query.Get("name"))
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

func (pr *pageRequest) loadStored(name string) (p *formPage, err error) {
	p = &formPage{Name: name}
	if p.Head, err = pr.head(name, "form"); err != nil || p.Head == nil {
		return p, cmp.Or(err, newRefusal(400, "expected the name of a connector in the address"))
	}
	p.Text = p.Head.config
	p.Version = p.Head.version
	return p, p.Head.configErr
}

func (pr *pageRequest) prepare(p *formPage) *formPage {
	p.Base = p.Text
	p.addProblem(pr.validate(p, nil, ""))
	return p
}

func (p *formPage) addProblem(err error) {
	if err != nil {
		p.Problems = append(p.Problems, err.Error())
	}
}

// withChain returns the stored configuration with the transforms and predicates of the records page.
func (pr *pageRequest) withChain() (any, error) {
	p, err := pr.loadStored(pr.formValues.Get("name"))
	if err != nil {
		return nil, err
	}
	settings, problem := settingsOf(p.Text)
	chain, chainProblem := settingsOf(pr.lines("chain"))
	if chainProblem != "" {
		problem = "The chain is invalid: " + chainProblem
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

// lines returns a field of the form with line ends as in a file.
func (pr *pageRequest) lines(field string) string {
	return strings.ReplaceAll(pr.formValues.Get(field), "\r\n", "\n")
}

func (pr *pageRequest) postForm() (any, error) {
	step := pr.formValues.Get("step")
	if step == "chain" {
		return pr.withChain()
	}
	p := &formPage{Name: pr.formValues.Get("name"), New: pr.formValues.Get("new") != "",
		Version: pr.formValues.Get("version"), Base: pr.lines("base")}
	if !p.New && !pr.isScript && step != "download" {
		p.Head, _ = pr.head(p.Name, "form") // after an error the page has no head
	}
	edited, typed, fieldProblem := pr.applyFields(pr.lines("text"), p.Base)
	p.Text = edited
	p.Retype = slices.Sorted(maps.Keys(typed))
	settings, textProblem := settingsOf(edited)
	if p.New {
		p.Name = settings["name"]
	}
	problem := cmp.Or(fieldProblem, textProblem)
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
	case step == "apply" && pr.formValues.Get("reviewed") == p.ReviewToken():
		if err = pr.apply(p, full); err == nil {
			return redirect("connector?" + pairs("name", p.Name).Encode()), nil
		}
	case step == "apply":
		p.Changed = "The form was changed after the review: check the effect now, then apply it."
		fallthrough
	case step == "review":
		err = pr.review(p, full)
	}
	p.addProblem(err)
	err = pr.validate(p, typed, step)
	if pr.isScript && (isRefused(err, http.StatusConflict) || isRefused(err, http.StatusServiceUnavailable)) {
		return nil, err // the worker is starting: the script asks again
	}
	p.addProblem(err)
	if group, ok := strings.CutPrefix(step, peekStep); ok {
		pr.peek(p, group, settings)
	}
	return p, nil
}

// ReviewToken identifies the reviewed text and the settings of typed secrets, without the secrets.
func (p *formPage) ReviewToken() string { return elementID("reviewed", p.Text, p.Retype) }

// applyFields applies the fields of the form to the text. It returns typed secrets; the text has the mask instead. A
// problem means that the text is returned unchanged.
func (pr *pageRequest) applyFields(text, base string) (edited string, typed map[string]string, problem string) {
	settings, problem := settingsOf(text)
	if problem != "" {
		return text, nil, problem
	}
	baseSettings, _ := settingsOf(base)
	typed = map[string]string{}
	for name, values := range pr.formValues {
		key, ok := strings.CutPrefix(name, fieldPrefix)
		if !ok {
			continue
		}
		value := values[0]
		isSecret := pr.formValues.Get(secretPrefix+key) != ""
		switch previous := baseSettings[key]; {
		case isSecret && value == "" && !config.IsReference(previous):
			// the stored secret is kept
		case isSecret && value != "" && !config.IsReference(value):
			typed[key] = value
			settings[key] = config.Mask
		case oneLine(value) == oneLine(previous):
			// it is unchanged, apart from line ends, which an input field cannot hold
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

// validate builds the fields from the declarations of the settings. The step check tries the logon, with typed secrets.
// Errors of a new connector's empty fields are shown after a check in the step of the service, after a review in all.
func (pr *pageRequest) validate(p *formPage, typed map[string]string, step string) error {
	settings, problem := settingsOf(p.Text)
	if problem != "" {
		return errors.New(problem)
	}
	class := settings["connector.class"]
	if class == "" {
		return nil
	}
	withSecrets := maps.Clone(settings)
	maps.Copy(withSecrets, typed)
	route := "PUT /connector-plugins/{name}/config/validate?allowed=true"
	if step == "check" {
		route += "&logon=check"
		p.Checked = true
	}
	var validation check.Validation
	if _, err := pr.call(route, nil, withSecrets, &validation, class); err != nil {
		return err
	}
	revealed := allSteps
	if step == "check" && p.New {
		revealed = setsStep // only the step of the service, which is before it
	} else if p.New && step != "review" && step != "apply" {
		revealed = 0
	}
	p.Steps = formSteps(validation, settings, revealed)
	if validation.Logon == check.LogonAccepted {
		p.Accepted = cmp.Or(validation.User, "The logon")
	} else if p.Checked {
		p.Unanswered = validation.Logon
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

// peek reads three rows of the set of a group into the page. settings include typed secrets.
func (pr *pageRequest) peek(p *formPage, group string, settings map[string]string) {
	p.Peeked.Group = group
	if p.Steps == nil { // the settings could not be checked; the page has the problem
		return
	}
	groups := p.Steps[setsStep].Groups
	i := slices.IndexFunc(groups, func(g formGroup) bool { return g.Name == group && g.Set != "" })
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
	var comparison rest.Comparison
	body := map[string]string{"name": p.Name, "text": full} // with the text even if it is empty
	if _, err := pr.call("POST /culvert/diff", nil, body, &comparison); err != nil {
		return err
	}
	p.Compared = &comparison
	if comparison.Version != p.Version && !p.New {
		p.Changed += " The configuration was changed after this page was opened: the differences below are to the " +
			"running configuration."
		p.Version = comparison.Version
	}
	if !p.New { // a new connector has no file to send
		p.Command = pr.curl("PUT /connectors/{name}/config", p.Name+".properties", p.Name)
	}
	return nil
}

// apply stores the configuration, unless the stored one has another version.
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
