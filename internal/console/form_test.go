package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/console/pagetest"
	"github.com/culvert-project/culvert/internal/rest"
)

const formText = "# a comment\nname = x\n\nconnector.class=C\n! another\nsecret=[hidden]\nby=${file:/x:pw}\n" +
	"unknown=\\n1\nlist=a,\\\n  b\n"

// Values typed into fields replace the values in the text. Comments, order, the spelling of other lines and settings
// without a field stay, and the text contains no secret.
func TestTypedValuesReplaceValuesInText(t *testing.T) {
	for name, one := range map[string]struct {
		typed     url.Values
		text      string // "": formText
		want      string
		secrets   string
		isProblem bool
	}{
		"nothing": {typed: url.Values{"f.name": {"x"}, "f.secret": {""}, "s.secret": {"yes"}, "f.by": {"${file:/x:pw}"},
			"s.by": {"yes"}, "f.other": {""}, "f.unknown": {"1"}}, want: formText, secrets: "map[]"},
		"a value": {typed: url.Values{"f.name": {"y"}},
			want: strings.Replace(formText, "name = x", "name = y", 1), secrets: "map[]"},
		"a new one": {typed: url.Values{"f.topic": {"t"}}, want: formText + "topic=t\n", secrets: "map[]"},
		"none any more": {typed: url.Values{"f.by": {""}, "s.by": {"yes"}},
			want: strings.Replace(formText, "by=${file:/x:pw}\n", "", 1), secrets: "map[]"},
		"a secret": {typed: url.Values{"f.secret": {"s3"}, "s.secret": {"yes"}, "f.new": {"s4"}, "s.new": {"yes"}},
			want: formText + "new=[hidden]\n", secrets: "map[new:s4 secret:s3]"},
		"a secret in the place of a reference": {typed: url.Values{"f.by": {"s5"}, "s.by": {"yes"}},
			want: strings.Replace(formText, "${file:/x:pw}", "[hidden]", 1), secrets: "map[by:s5]"},
		"a reference in the place of a secret": {typed: url.Values{"f.secret": {"${env:PW}"}, "s.secret": {"yes"}},
			want: strings.Replace(formText, "[hidden]", "${env:PW}", 1), secrets: "map[]"},
		"the text as well": {typed: url.Values{"f.name": {"y"}, "f.unknown": {"1"}},
			text: strings.Replace(formText, "! another", "z=1", 1),
			want: strings.NewReplacer("! another", "z=1", "name = x", "name = y").Replace(formText), secrets: "map[]"},
		"what only looks like a reference": {typed: url.Values{"f.secret": {"${env:A}clear${env:B}"},
			"s.secret": {"yes"}}, want: formText, secrets: "map[secret:${env:A}clear${env:B}]"},
		"no properties": {typed: url.Values{"f.name": {"y"}}, text: "a=\\u00zz", want: "a=\\u00zz", isProblem: true,
			secrets: "map[]"},
	} {
		v := &pageRequest{posted: one.typed}
		text := one.text
		if text == "" {
			text = formText
		}
		got, secrets, problem := v.applyFields(text, formText)
		if secrets == nil {
			secrets = map[string]string{}
		}
		if got != one.want || fmt.Sprint(secrets) != one.secrets || (problem != "") != one.isProblem {
			t.Errorf("%s: found %s %v %q", name, got, secrets, problem)
		}
	}
}

// A form that is sent unchanged changes nothing: no declared setting, and no undeclared one, such as a secret that a
// check reports.
func TestUnchangedFormKeepsText(t *testing.T) {
	f := newFake()
	_, target := rest.Target("GET /connectors/{name}/config", "x")
	text := "# a comment\nname=x\nconnector.class=C\nsecret=[hidden]\nby=${file:/x:pw}\nunknown=\\n1\n" +
		"producer.override.sasl.jaas.config=[hidden]\nyes=true\nperhaps=odd\n"
	f.answers["GET "+target+" text"] = text
	v := f.answers["PUT /connector-plugins/C/config/validate"].(check.Validation)
	for name, kind := range map[string]string{"producer.override.sasl.jaas.config": "STRING", "yes": "BOOLEAN",
		"perhaps": "BOOLEAN"} {
		v.Configs = append(v.Configs, check.Validated{Definition: check.Definition{Name: name, Type: kind},
			Value: check.Value{Visible: true, Errors: []string{"refused"}}})
	}
	f.answers["PUT /connector-plugins/C/config/validate"] = v
	form := formOf(t, served(t, over(f), "GET", "/console/form?name=x", nil).Body.String())
	if !form.Has("f.name") || !form.Has("f.yes") || !form.Has("f.producer.override.sasl.jaas.config") {
		t.Errorf("found %v", form)
	}
	form.Set("step", "download")
	assert.Equal(t, text, served(t, over(f), "POST", "/console/form", form).Body.String())
}

// formOf returns the form data that a browser sends for a page.
func formOf(t *testing.T, page string) url.Values {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	assert.NoError(t, err)
	form := url.Values{}
	for n := range doc.Descendants() {
		switch name := pagetest.Attribute(n, "name"); {
		case name == "": // not sent
		case n.Data == "input":
			form.Set(name, pagetest.Attribute(n, "value"))
		case n.Data == "textarea" && n.FirstChild != nil:
			form.Set(name, n.FirstChild.Data)
		case n.Data == "select":
			for option := range n.ChildNodes() {
				chosen := false
				value := pagetest.Text(option)
				for _, a := range option.Attr {
					chosen = chosen || a.Key == "selected"
					if a.Key == "value" {
						value = a.Val
					}
				}
				if chosen {
					form.Set(name, value)
				}
			}
		}
	}
	return form
}

// A logon is shown as accepted only if the service said so, and only when it was asked.
func TestAcceptedLogon(t *testing.T) {
	for logon, want := range map[string]string{check.LogonAccepted: "me was accepted", "no answer": "no answer",
		"": "the fields show the result"} {
		f := newFake()
		f.answers["PUT /connector-plugins/C/config/validate?logon=check"] = check.Validation{Logon: logon, User: "me"}
		w := served(t, over(f), "POST", "/console/form", url.Values{"name": {"x"}, "step": {"check"},
			"text": {"connector.class=C\n"}})
		assert.Contains(t, w.Body.String(), want)
		assert.Equal(t, logon == check.LogonAccepted, strings.Contains(w.Body.String(), "accepted</b>"))
	}
}

// The step of the sets shows three rows of a set of a source, or why there are none. The typed password is in the
// request, not in the page.
func TestRowsOfChosenSet(t *testing.T) {
	f := newFake()
	validation := check.Validation{Groups: []string{odd}}
	for _, name := range []string{"o#00.service", "o#00.entityset"} {
		validation.Configs = append(validation.Configs, check.Validated{Value: check.Value{Visible: true},
			Definition: check.Definition{Name: name, Type: "STRING", Group: new(odd), Importance: "HIGH"}})
	}
	f.answers["PUT /connector-plugins/C/config/validate"] = validation
	f.answers["POST /culvert/peek"] = json.RawMessage(fmt.Sprintf(`{"document":{"fields":[{"name":"ID","type":"int32"},
		{"name":%[1]s,"type":"string"}],"rows":[{"ID":7,%[1]s:%[1]s},{"ID":8}]}}`, quotedJSON(odd)))
	form := url.Values{"name": {"x"}, "step": {"peek:" + odd}, "f.secret": {"canary-secret"}, "s.secret": {"yes"},
		"text": {"connector.class=C\nsecret=[hidden]\no#00.service=/s\no#00.entityset=Orders\n"}}
	page := served(t, over(f), "POST", "/console/form", form).Body.String()
	assert.Contains(t, page, "First rows of Orders", "int32", "<td><code>7</code></td><td><code>8</code></td>")
	assert.Contains(t, f.bodies[len(f.bodies)-2], "canary-secret", `"options":{"e":"Orders","n":"3","s":"/s"}`)
	assert.Equal(t, false, strings.Contains(page, "canary-secret"))
	for _, wrong := range pagetest.Examine(page) {
		t.Error(wrong)
	}
	before := strings.Count(f.log(), "POST /culvert/peek")
	reader := Environment{}.New(rest.Pages{API: f, ReadOnlyReason: func(*http.Request) string { return "why" }})
	page = served(t, reader, "POST", "/console/form", form).Body.String()
	assert.Contains(t, page, "This console only reads: why")
	assert.Equal(t, before, strings.Count(f.log(), "POST /culvert/peek"), "requests of a user who only reads")
	f.refuses["POST /culvert/peek"] = 502
	assert.Contains(t, served(t, over(f), "POST", "/console/form", form).Body.String(), "No rows of Orders: no: ")
	form.Set("text", "connector.class=C\no#00.service=/s\n")
	page = served(t, over(f), "POST", "/console/form", form).Body.String()
	assert.Equal(t, false, strings.Contains(page, "peek:"), "a button without a set")
	validation.Configs = append(validation.Configs, check.Validated{Definition: check.Definition{Name: "topics"}})
	f.answers["PUT /connector-plugins/C/config/validate"] = validation
	form.Set("text", "connector.class=C\no#00.service=/s\no#00.entityset=Orders\n")
	page = served(t, over(f), "POST", "/console/form", form).Body.String()
	assert.Equal(t, false, strings.Contains(page, "peek:"), "a button of a sink")
}

// Enter in a field presses the first button of the form: it changes nothing but the form.
func TestEnterOnlyUpdatesForm(t *testing.T) {
	page := served(t, over(newFake()), "GET", "/console/form?class=C", nil).Body.String()
	doc, err := html.Parse(strings.NewReader(page))
	assert.NoError(t, err)
	for n := range doc.Descendants() {
		if n.Data == "button" && pagetest.Attribute(n, "name") == "step" {
			assert.Equal(t, "update", pagetest.Attribute(n, "value"))
			return
		}
	}
	t.Error("expected a button")
}

// The head of the page of a configuration is a fragment, which another page has as well: its buttons show the state.
func TestHeadOfFormIsFragment(t *testing.T) {
	f := newFake()
	page := served(t, over(f), "GET", "/console/form?name=x", nil).Body.String()
	assert.Contains(t, page, `data-fragment="head"`)
	head := served(t, over(f), "GET", "/console/offsets?name=x&fragments=", nil).Body.String()
	assert.Contains(t, head, `{"head":{"version":"`)
	assert.Equal(t, 1, strings.Count(head, `"version"`), "no other fragment")
}

// No page of a form contains a secret, in any step, and its fields are well-formed.
func TestFormPages(t *testing.T) {
	for _, step := range []string{"update", "check", "review", "apply", "download"} {
		f := newFake()
		form := url.Values{"name": {"x"}, "version": {`"v1"`}, "base": {formText}, "text": {formText}, "step": {step},
			"reviewed": {(&formPage{Text: formText, Retype: []string{"secret"}}).ReviewToken()},
			"f.secret": {"canary-secret"}, "s.secret": {"yes"}}
		w := served(t, over(f), "POST", "/console/form", form)
		if strings.Contains(w.Body.String(), "canary-secret") {
			t.Errorf("%s: expected no secret in the response", step)
		}
		sends := strings.Contains(strings.Join(f.bodies, "\n"), "canary-secret")
		switch step {
		case "download":
			if sends || w.Body.String() != formText ||
				w.Header().Get("Content-Disposition") != "attachment; filename=x.properties" {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
			continue
		case "apply":
			if !sends || w.Code != 303 || w.Header().Get("Location") != "connector?name=x" {
				t.Errorf("apply: %d %v\n%s", w.Code, w.Header(), w.Body)
			}
			continue
		}
		if !sends || w.Code != 200 {
			t.Errorf("%s: %d, sent %v", step, w.Code, f.bodies)
		}
		for _, wrong := range pagetest.Examine(w.Body.String()) {
			t.Errorf("%s: %s", step, wrong)
		}
		assert.Contains(t, w.Body.String(), "Type each of these again", "secret")
	}
}

// The page of a configuration reads it once. Its top says that a connector of a file cannot be saved here.
func TestConfigurationOfFile(t *testing.T) {
	for version, isSaved := range map[string]bool{"v1": true, "": false} {
		f := newFake()
		f.version = version
		page := served(t, over(f), "GET", "/console/form?name=x", nil).Body.String()
		_, target := rest.Target("GET /connectors/{name}/config", "x")
		assert.Equal(t, 1, strings.Count(f.log(), "GET "+target+"?"), "reads of the configuration")
		notice := strings.Index(page, "comes from a file and cannot be saved here")
		assert.Equal(t, isSaved, notice < 0, version)
		assert.Equal(t, true, notice < strings.Index(page, `id="fragment-fields"`), "the notice is above the fields")
	}
}

// A new form has no errors before something was typed, and a check of the logon shows only the errors of the step
// Service. A logon that was not tried is no error.
func TestNewFormHasNoErrors(t *testing.T) {
	f := newFake()
	value := check.Value{Visible: true, Errors: []string{"it is missing"}}
	v := check.Validation{Groups: []string{odd}, Configs: []check.Validated{
		{Definition: check.Definition{Name: "name"}, Value: value},
		{Definition: check.Definition{Name: "o#00.entityset", Group: new(odd)}, Value: value},
		{Definition: check.Definition{Name: "secret", Type: "PASSWORD"}, Value: check.Value{Visible: true,
			Errors: []string{check.LogonNotTried + "it is new"}}}}}
	f.answers["PUT /connector-plugins/C/config/validate"] = v
	page := served(t, over(f), "GET", "/console/form?class=C", nil).Body.String()
	assert.Equal(t, 0, strings.Count(page, "it is missing"), "errors of a new form")
	form := formOf(t, page)
	for step, want := range map[string]int{"update": 0, "check": 1, "review": 2} {
		form.Set("step", step)
		page = served(t, over(f), "POST", "/console/form", form).Body.String()
		assert.Equal(t, want, strings.Count(page, "it is missing"), step)
		assert.Contains(t, page, `n">Logon not tried: it is new</p>`)
	}
}

// A review shows its warnings before the button that applies the change, such as that a topic stays empty. The page of
// the connector does not know when a read has ended that an earlier run has made.
func TestTopicOfSetThatWasRead(t *testing.T) {
	f := newFake()
	const warning = "this start reads nothing into topic b: the set was read completely at 2026-11-24T12:00:00Z"
	f.answers["POST /culvert/diff"] = json.RawMessage(`{"effect":"restart","differences":[],"warnings":["` + warning + `"]}`)
	page := served(t, over(f), "POST", "/console/form", url.Values{"name": {"x"}, "step": {"review"},
		"text": {"connector.class=C\n"}}).Body.String()
	shown := strings.Index(page, warning)
	apply := strings.Index(page, `value="apply"`)
	assert.Equal(t, true, 0 < shown && shown < apply, "the warning is above the button")
	_, target := rest.Target("GET /culvert/connectors/{name}", "x")
	for read, want := range map[string]string{`null`: `data-label="Complete">–<`,
		`"2026-11-24T12:00:00Z"`: `data-label="Complete"><time datetime="2026-11-24T12:00:00Z"`} {
		f.answers["GET "+target] = json.RawMessage(`{"name":"x","tasks":[{"id":0,"rows":0,"feeds":[{"name":"a",
			"last_caught_up":"2026-11-25T12:00:00Z","complete":"key","last_read":` + read + `}]}]}`)
		assert.Contains(t, served(t, over(f), "GET", "/console/connector?name=x", nil).Body.String(), want)
	}
}

// The script gets only fragments, with the result of the review, and a redirect after the change was applied.
func TestScriptGetsFragmentsOfSteps(t *testing.T) {
	ask := func(step string) (found map[string]json.RawMessage, w *httptest.ResponseRecorder) {
		w = served(t, over(newFake()), "POST", "/console/form?fragments=", url.Values{"name": {"x"},
			"version": {`"v1"`}, "base": {formText}, "text": {formText}, "step": {step},
			"reviewed": {(&formPage{Text: formText}).ReviewToken()}})
		if err := json.Unmarshal(w.Body.Bytes(), &found); err != nil {
			t.Fatalf("%v\n%s", err, w.Body)
		}
		return found, w
	}
	if found, _ := ask("review"); len(found) != 4 ||
		!strings.Contains(string(found["review"]), "The tasks stop and are created again") {
		t.Errorf("found %v", found)
	}
	if found, _ := ask("apply"); string(found["to"]) != `"connector?name=x"` {
		t.Errorf("found %v", found)
	}
}

// A worker that is still starting leaves fields and text unchanged: the script retries, and without the script the page
// contains the typed values.
func TestFormWhileWorkerStarts(t *testing.T) {
	f := newFake()
	f.refuses["PUT /connector-plugins/C/config/validate"] = 409
	form := url.Values{"name": {"x"}, "base": {formText}, "text": {formText + "mine=1\n"}, "step": {"update"}}
	w := served(t, over(f), "POST", "/console/form?fragments=", form)
	if w.Code != 409 || !strings.HasPrefix(w.Body.String(), `{"error":"no: `) {
		t.Errorf("the script: expected 409 with an error, found %d %s", w.Code, w.Body)
	}
	w = served(t, over(f), "POST", "/console/form", form)
	if w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	assert.Contains(t, w.Body.String(), "mine=1", "no: ")
}

// Only reviewed changes are applied, and no typed secret is lost: without the script its field is empty after the
// review, and the stored secret would stay.
func TestOnlyReviewedChangesAreApplied(t *testing.T) {
	f0 := newFake()
	w0 := served(t, over(f0), "POST", "/console/form", url.Values{"name": {"x"}, "version": {"v1"}, "base": {formText},
		"text": {formText}, "f.secret": {""}, "s.secret": {"yes"}, "step": {"apply"},
		"reviewed": {(&formPage{Text: formText, Retype: []string{"secret"}}).ReviewToken()}})
	if strings.Contains(f0.log(), "PUT /connectors/") || !strings.Contains(w0.Body.String(), "after the review") {
		t.Errorf("found %s", f0.log())
	}
	f := newFake()
	w := served(t, over(f), "POST", "/console/form", url.Values{"name": {"x"}, "version": {"v1"}, "base": {formText},
		"text": {formText}, "reviewed": {(&formPage{Text: formText}).ReviewToken()}, "f.name": {"y"},
		"step": {"apply"}})
	assert.Contains(t, w.Body.String(), "The form was changed after the review", "Effect of this change")
	if strings.Contains(f.log(), "PUT /connectors/") {
		t.Errorf("found %s", f.log())
	}
}

// A configuration that was changed in the meantime is not overwritten: the page says so and keeps the typed values.
func TestConcurrentChangeIsNotOverwritten(t *testing.T) {
	f := newFake()
	_, target := rest.Target("PUT /connectors/{name}/config", "x")
	f.refuses["PUT "+target] = 412
	w := served(t, over(f), "POST", "/console/form", url.Values{"name": {"x"}, "version": {`"v0"`}, "base": {formText},
		"text": {formText + "mine=1\n"}, "step": {"apply"},
		"reviewed": {(&formPage{Text: formText + "mine=1\n"}).ReviewToken()}})
	assert.Contains(t, w.Body.String(), "Nothing was stored", "mine=1")
}

// A chain that was tried on the page of records replaces the stored one, and nothing else changes.
func TestTriedChainReplacesStoredChain(t *testing.T) {
	f := newFake()
	_, target := rest.Target("GET /connectors/{name}/config", "x")
	f.answers["GET "+target+" text"] = formText + "transforms=a,b\ntransforms.a.type=A\ntransforms.b.type=B\n# end\n"
	ask := func(chain string) string {
		w := served(t, over(f), "POST", "/console/form", url.Values{"name": {"x"}, "sample": {"s1"}, "step": {"chain"},
			"chain": {chain}})
		if w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		_, text, _ := strings.Cut(w.Body.String(), `<textarea id="text"`)
		_, text, _ = strings.Cut(text, ">\n")
		text, _, _ = strings.Cut(text, "</textarea>")
		return html.UnescapeString(text) + w.Body.String()
	}
	want := formText + "transforms=a\ntransforms.a.type=C\n# end\n"
	if got := ask("transforms=a\r\ntransforms.a.type=C\r\nname=y\r\n"); !strings.HasPrefix(got, want) {
		t.Errorf("expected %s, found %s", want, got)
	}
	if got := ask("a=\\u00zz"); !strings.HasPrefix(got, f.answers["GET "+target+" text"].(string)) ||
		!strings.Contains(got, "The chain is invalid") {
		t.Errorf("found %s", got)
	}
}

// A form of no connector is refused.
func TestFormWithoutAName(t *testing.T) {
	page := served(t, over(newFake()), "GET", "/console/form?name=", nil)
	assert.Equal(t, http.StatusBadRequest, page.Code)
	assert.Contains(t, page.Body.String(), "expected the name of a connector")
	page = served(t, over(newFake()), "POST", "/console/form", url.Values{"step": {"chain"}})
	assert.Equal(t, http.StatusBadRequest, page.Code)
}
