package console

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
)

// formPage is a configuration as fields and as text. The text is what counts: fields are made of it, and what is typed
// into them is written into it line by line, so that comments, order and settings that no field has stay.
//
// A password that is typed stands in its field alone until it is applied: the text has [config.Mask] in its place, and
// no answer has it. So a browser without the script asks for it once more with each step.
type formPage struct {
	Name string
	// New: the connector is not there yet. Classes are those it can have.
	New     bool
	Classes []connect.Plugin
	// Base is the text as it was sent to the browser, by which it is known what was typed into fields. Text is that of
	// now.
	Base, Text string
	// Version is that of the configuration that the text was made of.
	Version string
	Groups  []group
	Later   []string
	// Problems are what is wrong with the text as a whole.
	Problems []string
	// Retype are secrets that were typed, and are to be typed once more where there is no script.
	Retype []string
	// Compared is what it would mean to apply it; nil: that was not asked for.
	Compared *rest.Comparison
	// Changed says what has changed since the review, or since the page was opened.
	Changed string
	// Checked: the logon was tried.
	Checked bool
	Curl    string
}

// fieldPrefix is before the name of a setting in the name of its field.
const fieldPrefix = "f."

// form shows the configuration as it is stored, or an empty one of a class.
func (v *visit) form() (any, error) {
	p := formPage{Name: v.query.Get("name"), New: !v.query.Has("name")}
	if p.New {
		v.title = "New connector"
		class := v.query.Get("class")
		if class == "" {
			return p, v.get("GET /connector-plugins", &p.Classes)
		}
		text, err := config.Edit(nil, map[string]string{"connector.class": class, "name": ""})
		if err != nil {
			return nil, err
		}
		p.Text = string(text)
	} else if err := v.stored(&p); err != nil {
		return nil, err
	}
	p.Base = p.Text
	return p, v.complete(&p, nil, false)
}

// stored fills in the configuration as it is stored.
func (v *visit) stored(p *formPage) error {
	v.title = "Configuration of " + p.Name
	header, err := v.call("GET /connectors/{name}/config", nil, nil, &p.Text, p.Name)
	p.Version = strings.Trim(header.Get("ETag"), `"`)
	return err
}

// chained is the configuration as it is stored, with the transforms and predicates that the page of records has tried.
func (v *visit) chained() (any, error) {
	p := formPage{Name: v.sent.Get("name")}
	if err := v.stored(&p); err != nil {
		return nil, err
	}
	settings, problem := settingsOf(p.Text)
	chain, wrong := settingsOf(strings.ReplaceAll(v.sent.Get("chain"), "\r\n", "\n"))
	if wrong != "" {
		problem = "The chain was not taken: " + wrong
	}
	if problem == "" {
		maps.DeleteFunc(settings, func(key, _ string) bool { return ofChain(key) })
		maps.DeleteFunc(chain, func(key, _ string) bool { return !ofChain(key) })
		maps.Copy(settings, chain)
		text, err := config.Edit([]byte(p.Text), settings)
		if err != nil {
			return nil, err
		}
		p.Text = string(text)
	} else {
		p.Problems = append(p.Problems, problem)
	}
	p.Base = p.Text
	return p, v.complete(&p, nil, false)
}

// postForm takes what was typed: it brings text and fields in step, and does what a button asks for.
func (v *visit) postForm() (any, error) {
	if v.sent.Get("step") == "chain" {
		return v.chained()
	}
	p := formPage{Name: v.sent.Get("name"), New: v.sent.Get("new") != "", Version: v.sent.Get("version")}
	v.title = "Configuration of " + p.Name
	if p.New {
		v.title = "New connector"
	}
	text := strings.ReplaceAll(v.sent.Get("text"), "\r\n", "\n")
	p.Base = strings.ReplaceAll(v.sent.Get("base"), "\r\n", "\n")
	edited, typed, problem := v.edited(text, p.Base)
	if p.Text = edited; problem != "" {
		p.Problems = append(p.Problems, problem)
	}
	step := v.sent.Get("step")
	if step == "download" {
		return download{nameOf(p, edited) + ".properties", mediaText + "; charset=utf-8", edited}, nil
	}
	p.Retype = slices.Sorted(maps.Keys(typed))
	if problem != "" { // the fields are those of the text before
		return p, nil
	}
	p.Base = p.Text
	full, problem, err := withSecrets(edited, typed)
	switch {
	case err != nil:
		return nil, err
	case problem != "":
		p.Problems = append(p.Problems, problem)
		return p, nil
	case step == "apply" && v.sent.Get("reviewed") == p.Seal():
		if done, err := v.apply(&p, full); done || err != nil {
			return redirect("connector?" + pairs("name", p.Name).Encode()), err
		}
	case step == "apply":
		p.Changed = "Something was typed since the review: look at what it would do now, then apply it."
		fallthrough
	case step == "review":
		err = v.review(&p, full)
	}
	if err != nil {
		p.Problems = append(p.Problems, err.Error())
	}
	return p, v.complete(&p, typed, step == "check")
}

// Seal tells apart texts, and which secrets were typed, so that nothing is applied but what a review has shown. What
// the secrets are is not in it.
func (p formPage) Seal() string { return ident("reviewed", p.Text, p.Retype) }

// edited is the text with what was typed into fields, but for secrets, which are returned: the text has the mask in
// their place.
func (v *visit) edited(text, base string) (edited string, typed map[string]string, problem string) {
	now, problem := settingsOf(text)
	if problem != "" {
		return text, nil, problem
	}
	before, _ := settingsOf(base)
	typed = map[string]string{}
	for name, values := range v.sent {
		key, ok := strings.CutPrefix(name, fieldPrefix)
		if !ok {
			continue
		}
		value, secret := values[0], v.sent.Get("s."+key) != ""
		switch was := before[key]; {
		case secret && value == "" && !config.IsReference(was): // it is as it was
		case secret && value != "" && !config.IsReference(value):
			typed[key], now[key] = value, config.Mask
		case oneLine(value) == oneLine(was): // a field of a browser has no ends of lines
		case value == "":
			delete(now, key)
		default:
			now[key] = value
		}
	}
	out, err := config.Edit([]byte(text), now)
	if err != nil {
		return text, nil, err.Error()
	}
	return string(out), typed, ""
}

// oneLine is a value as a field of a browser has it.
func oneLine(value string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(value) }

// withSecrets is a text with the secrets that were typed in their places.
func withSecrets(text string, typed map[string]string) (full, problem string, err error) {
	settings, problem := settingsOf(text)
	if problem != "" || len(typed) == 0 {
		return text, problem, nil
	}
	maps.Copy(settings, typed)
	out, err := config.Edit([]byte(text), settings)
	return string(out), "", err
}

// complete has the settings checked, and makes the fields of what is declared about them. logon: the service may be
// asked with a secret that it has not taken yet.
func (v *visit) complete(p *formPage, typed map[string]string, logon bool) error {
	settings, problem := settingsOf(p.Text)
	if problem != "" {
		p.Problems = append(p.Problems, problem)
		return nil
	}
	class := settings["connector.class"]
	if class == "" {
		return nil
	}
	sent := maps.Clone(settings)
	maps.Copy(sent, typed)
	route := "PUT /connector-plugins/{name}/config/validate"
	if logon {
		route, p.Checked = route+"?logon=check", true
	}
	var found check.Validation
	_, err := v.call(route, nil, sent, &found, class)
	if r, refused := errors.AsType[*refusal](err); refused {
		p.Problems = append(p.Problems, r.Text)
		return nil
	}
	p.Groups, p.Later = groupsOf(found, settings)
	return err
}

// review asks what it would mean to apply the text.
func (v *visit) review(p *formPage, full string) error {
	if p.New {
		settings, _ := settingsOf(full)
		p.Name = settings["name"]
	}
	var c rest.Comparison
	if _, err := v.call("POST /culvert/diff", nil, rest.DiffAsked{Name: p.Name, Text: full}, &c); err != nil {
		return err
	}
	p.Compared = &c
	if c.Version != p.Version && !p.New {
		p.Changed += " The configuration was changed since this page was opened: the differences below are those to " +
			"what runs now."
		p.Version = c.Version
	}
	p.Curl = v.curl("PUT /connectors/{name}/config", p.Name+".properties", p.Name)
	return nil
}

// apply stores the text, onto the version that the review has shown.
func (v *visit) apply(p *formPage, full string) (done bool, err error) {
	if v.Reads != "" {
		p.Problems = append(p.Problems, "This console only reads: "+v.Reads)
		return false, nil
	}
	header := http.Header{"If-Match": {strconv.Quote(p.Version)}}
	if p.New {
		settings, _ := settingsOf(full)
		p.Name, header = settings["name"], http.Header{"If-None-Match": {"*"}}
	}
	_, err = v.call("PUT /connectors/{name}/config", header, full, nil, p.Name)
	r, refused := errors.AsType[*refusal](err)
	if !refused {
		return err == nil, err
	}
	if p.Problems = append(p.Problems, r.Text); r.Status == http.StatusPreconditionFailed {
		p.Changed = "Nothing was stored. Open the page again to see what was changed, or review once more to apply " +
			"yours over it."
	}
	return false, nil
}

// nameOf is a name for the file of a configuration.
func nameOf(p formPage, text string) string {
	if settings, _ := settingsOf(text); settings["name"] != "" {
		return fileName(settings["name"])
	}
	if p.Name != "" {
		return fileName(p.Name)
	}
	return "connector"
}
