package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/console/pagetest"
	"github.com/culvert-project/culvert/internal/rest"
)

const formText = "# a comment\nname = x\n\nconnector.class=C\n! another\nsecret=[hidden]\nby=${file:/x:pw}\n" +
	"unknown=\\n1\nlist=a,\\\n  b\n"

// Values typed into fields replace the values in the text. Comments, order, the spelling of other lines and settings
// without a field stay, and the text contains no secret.
func TestTypedValuesReplaceValuesInText(t *testing.T) {
	for name, test := range map[string]struct {
		typed       url.Values
		text        string // "" means formText
		want        string
		wantSecrets map[string]string
		wantProblem bool
	}{
		"unchanged fields": {
			typed: url.Values{"f.name": {"x"}, "f.secret": {""}, "s.secret": {"yes"}, "f.by": {"${file:/x:pw}"},
				"s.by": {"yes"}, "f.other": {""}, "f.unknown": {"1"}},
			want: formText,
		},
		"a value": {
			typed: url.Values{"f.name": {"y"}},
			want:  strings.Replace(formText, "name = x", "name = y", 1),
		},
		"a new value": {
			typed: url.Values{"f.topic": {"t"}},
			want:  formText + "topic=t\n",
		},
		"a removed value": {
			typed: url.Values{"f.by": {""}, "s.by": {"yes"}},
			want:  strings.Replace(formText, "by=${file:/x:pw}\n", "", 1),
		},
		"secrets": {
			typed:       url.Values{"f.secret": {"s3"}, "s.secret": {"yes"}, "f.new": {"s4"}, "s.new": {"yes"}},
			want:        formText + "new=[hidden]\n",
			wantSecrets: map[string]string{"new": "s4", "secret": "s3"},
		},
		"a secret in place of a reference": {
			typed:       url.Values{"f.by": {"s5"}, "s.by": {"yes"}},
			want:        strings.Replace(formText, "${file:/x:pw}", "[hidden]", 1),
			wantSecrets: map[string]string{"by": "s5"},
		},
		"a reference in place of a secret": {
			typed: url.Values{"f.secret": {"${env:PW}"}, "s.secret": {"yes"}},
			want:  strings.Replace(formText, "[hidden]", "${env:PW}", 1),
		},
		"the text as well": {
			typed: url.Values{"f.name": {"y"}, "f.unknown": {"1"}},
			text:  strings.Replace(formText, "! another", "z=1", 1),
			want:  strings.NewReplacer("! another", "z=1", "name = x", "name = y").Replace(formText),
		},
		"a secret that looks like a reference": {
			typed:       url.Values{"f.secret": {"${env:A}clear${env:B}"}, "s.secret": {"yes"}},
			want:        formText,
			wantSecrets: map[string]string{"secret": "${env:A}clear${env:B}"},
		},
		"a text without properties": {
			typed:       url.Values{"f.name": {"y"}},
			text:        "a=\\u00zz",
			want:        "a=\\u00zz",
			wantProblem: true,
		},
	} {
		pr := &pageRequest{formValues: test.typed}
		text, secrets, problem := pr.applyFields(cmp.Or(test.text, formText), formText)
		assert.Equal(t, test.want, text, name)
		assert.Equal(t, fmt.Sprint(test.wantSecrets), fmt.Sprint(secrets), name, "secrets")
		assert.Equal(t, test.wantProblem, problem != "", name, "has a problem:", problem)
	}
}

// A form that is sent unchanged changes nothing: no declared setting, and no undeclared one, such as a secret that a
// check reports.
func TestUnchangedFormKeepsText(t *testing.T) {
	f := newFakeAPI()
	_, target := rest.Target("GET /connectors/{name}/config", "x")
	text := "# a comment\nname=x\nconnector.class=C\nsecret=[hidden]\nby=${file:/x:pw}\nunknown=\\n1\n" +
		"producer.override.sasl.jaas.config=[hidden]\nyes=true\nperhaps=odd  value \nformat=${env:F}\n"
	f.responses["GET "+target+" text"] = text
	validation := f.responses["PUT /connector-plugins/C/config/validate"].(check.Validation)
	for name, kind := range map[string]string{
		"producer.override.sasl.jaas.config": "STRING",
		"yes":                                "BOOLEAN",
		"perhaps":                            "BOOLEAN",
		"format":                             "STRING",
	} {
		validated := check.Validated{
			Definition: check.Definition{Name: name, Type: kind},
			Value:      check.Value{Visible: true, Errors: []string{"refused"}},
		}
		if name == "format" {
			validated.Value.AllowedValues = []string{"json", "atom"}
		}
		validation.Configs = append(validation.Configs, validated)
	}
	f.responses["PUT /connector-plugins/C/config/validate"] = validation
	form := formOf(t, serve(t, newConsole(f), "GET", "/console/form?name=x", nil).Body.String())
	assert.True(t, form.Has("f.name") && form.Has("f.yes") && form.Has("f.producer.override.sasl.jaas.config") &&
		form.Has("f.format"), "expected fields for the settings, found %v", form)
	form.Set("step", "download")
	assert.Equal(t, text, serve(t, newConsole(f), "POST", "/console/form", form).Body.String())
}

// formOf returns the form data that a browser sends for a page.
func formOf(t *testing.T, page string) url.Values {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	assert.NoError(t, err)
	form := url.Values{}
	for n := range doc.Descendants() {
		switch name := pagetest.Attribute(n, "name"); {
		case name == "":
			// a browser does not send it
		case n.Data == "input":
			form.Set(name, pagetest.Attribute(n, "value"))
		case n.Data == "textarea" && n.FirstChild != nil:
			form.Set(name, n.FirstChild.Data)
		case n.Data == "select":
			for option := range n.ChildNodes() {
				isSelected := false
				value := pagetest.Text(option) // without repeated spaces, as in a browser
				for _, a := range option.Attr {
					isSelected = isSelected || a.Key == "selected"
					if a.Key == "value" {
						value = a.Val
					}
				}
				if isSelected {
					form.Set(name, value)
				}
			}
		}
	}
	return form
}

// A logon is shown as accepted only if the service has accepted it in this check.
func TestLogonIsShownAsAcceptedAfterACheckOnly(t *testing.T) {
	for logon, want := range map[string]string{
		check.LogonAccepted: "me was accepted",
		"no answer":         "no answer",
		"":                  "the fields show the result",
	} {
		f := newFakeAPI()
		f.responses["PUT /connector-plugins/C/config/validate?allowed=true&logon=check"] = check.Validation{
			Logon: logon, User: "me"}
		w := serve(t, newConsole(f), "POST", "/console/form", url.Values{"name": {"x"}, "step": {"check"},
			"text": {"connector.class=C\n"}})
		assert.Contains(t, w.Body.String(), want)
		assert.Equal(t, logon == check.LogonAccepted, strings.Contains(w.Body.String(), "accepted</b>"), logon)
	}
}

// The step of the sets shows three rows of a set of a source, or why there are none. The typed password is in the
// request, not in the page.
func TestRowsOfChosenSet(t *testing.T) {
	f := newFakeAPI()
	validation := check.Validation{Groups: []string{hostileText}}
	for _, name := range []string{"o#00.service", "o#00.entityset"} {
		validation.Configs = append(validation.Configs, check.Validated{
			Definition: check.Definition{Name: name, Type: "STRING", Group: new(hostileText), Importance: "HIGH"},
			Value:      check.Value{Visible: true},
		})
	}
	f.responses["PUT /connector-plugins/C/config/validate"] = validation
	f.responses["POST /culvert/peek"] = json.RawMessage(fmt.Sprintf(`{"document":{"fields":[
		{"name":"ID","type":"int32"},{"name":%[1]s,"type":"string"}],"rows":[{"ID":7,%[1]s:%[1]s},{"ID":8}]}}`,
		quotedJSON(hostileText)))
	form := url.Values{
		"name":     {"x"},
		"step":     {"peek:" + hostileText},
		"f.secret": {"canary-secret"},
		"s.secret": {"yes"},
		"text":     {"connector.class=C\nsecret=[hidden]\no#00.service=/s\no#00.entityset=Orders\n"},
	}
	page := serve(t, newConsole(f), "POST", "/console/form", form).Body.String()
	assert.Contains(t, page, "First rows of Orders", "int32", "<td><code>7</code></td><td><code>8</code></td>")
	assert.Contains(t, f.bodies[len(f.bodies)-2], "canary-secret", `"options":{"e":"Orders","n":"3","s":"/s"}`)
	assert.Equal(t, false, strings.Contains(page, "canary-secret"), "the page has the password")
	for _, problem := range pagetest.Examine(page) {
		t.Error(problem)
	}

	before := strings.Count(f.log(), "POST /culvert/peek")
	page = serve(t, newConsoleFor(f, "why"), "POST", "/console/form", form).Body.String()
	assert.Contains(t, page, "This console only reads: why")
	assert.Equal(t, before, strings.Count(f.log(), "POST /culvert/peek"), "requests of a user who only reads")

	f.refusals["POST /culvert/peek"] = 502
	assert.Contains(t, serve(t, newConsole(f), "POST", "/console/form", form).Body.String(), "No rows of Orders: no: ")

	form.Set("text", "connector.class=C\no#00.service=/s\n")
	page = serve(t, newConsole(f), "POST", "/console/form", form).Body.String()
	assert.Equal(t, false, strings.Contains(page, "peek:"), "a button without a set")
	validation.Configs = append(validation.Configs, check.Validated{Definition: check.Definition{Name: "topics"}})
	f.responses["PUT /connector-plugins/C/config/validate"] = validation
	form.Set("text", "connector.class=C\no#00.service=/s\no#00.entityset=Orders\n")
	page = serve(t, newConsole(f), "POST", "/console/form", form).Body.String()
	assert.Equal(t, false, strings.Contains(page, "peek:"), "a button of a sink")
}

// A class is chosen by the direction of the data.
func TestClassIsChosenByDirection(t *testing.T) {
	f := newFakeAPI()
	f.responses["GET /connector-plugins"] = []connect.Plugin{
		{Class: "example.In", Type: "source"},
		{Class: "example.Out", Type: "sink"},
	}
	text := pagetest.Read(serve(t, newConsole(f), "GET", "/console/form", nil).Body.String())
	_, source, _ := strings.Cut(text, "From SAP to Kafka")
	source, sink, _ := strings.Cut(source, "From Kafka to SAP")
	assert.Contains(t, source, "example.In")
	assert.Contains(t, sink, "example.Out")
}

// The review of an existing connector shows a command with its file; a new connector has none. Its download is named
// by its name, not by an address.
func TestNewConnectorHasNoFile(t *testing.T) {
	for name, test := range map[string]struct {
		form     url.Values
		hasFile  bool
		download string
	}{
		"existing": {form: url.Values{"name": {"x"}, "text": {"connector.class=C\nname=x\n"}}, hasFile: true,
			download: "x.properties"},
		"new": {form: url.Values{"new": {"yes"}, "text": {"connector.class=C\nname=y\n"}},
			download: "y.properties"},
		"new, without a name": {form: url.Values{"new": {"yes"}, "text": {"connector.class=C\nhost=h.example.com\n"}},
			download: "connector.properties"},
	} {
		test.form.Set("step", "review")
		page := serve(t, newConsole(newFakeAPI()), "POST", "/console/form", test.form).Body.String()
		assert.Contains(t, page, "Effect of this change")
		assert.Equal(t, test.hasFile, strings.Contains(page, ".properties"), name, "names a file")
		test.form.Set("step", "download")
		w := serve(t, newConsole(newFakeAPI()), "POST", "/console/form", test.form)
		assert.Equal(t, "attachment; filename="+test.download, w.Header().Get("Content-Disposition"), name)
	}
}

// Enter in a field presses the first button of the form: it changes nothing but the form.
func TestEnterOnlyUpdatesForm(t *testing.T) {
	page := serve(t, newConsole(newFakeAPI()), "GET", "/console/form?class=C", nil).Body.String()
	doc, err := html.Parse(strings.NewReader(page))
	assert.NoError(t, err)
	for n := range doc.Descendants() {
		if n.Data == "button" && pagetest.Attribute(n, "name") == "step" {
			assert.Equal(t, "update", pagetest.Attribute(n, "value"))
			return
		}
	}
	t.Error("expected a button of a step, found none")
}

// The head of the page of a configuration is a fragment that the script reads from another page: its buttons depend on
// the state.
func TestHeadOfFormIsFragment(t *testing.T) {
	f := newFakeAPI()
	page := serve(t, newConsole(f), "GET", "/console/form?name=x", nil).Body.String()
	assert.Contains(t, page, `data-fragment="head"`)
	head := serve(t, newConsole(f), "GET", "/console/offsets?name=x&fragments=", nil).Body.String()
	assert.Contains(t, head, `{"head":{"version":"`)
	assert.Equal(t, 1, strings.Count(head, `"version"`), "no other fragment")
}

// No page of a form contains a secret, in any step, and its fields are well-formed.
func TestFormPagesHaveNoSecrets(t *testing.T) {
	post := func(step string) *httptest.ResponseRecorder {
		f := newFakeAPI()
		w := serve(t, newConsole(f), "POST", "/console/form", url.Values{
			"name":     {"x"},
			"version":  {`"v1"`},
			"base":     {formText},
			"text":     {formText},
			"step":     {step},
			"reviewed": {(&formPage{Text: formText, Retype: []string{"secret"}}).ReviewToken()},
			"f.secret": {"canary-secret"},
			"s.secret": {"yes"},
		})
		assert.Equal(t, false, strings.Contains(w.Body.String(), "canary-secret"), step, "the page has the secret")
		isSent := strings.Contains(strings.Join(f.bodies, "\n"), "canary-secret")
		assert.Equal(t, step != "download", isSent, step, "REST receives the secret")
		return w
	}
	for _, step := range []string{"update", "check", "review"} {
		w := post(step)
		assert.Equal(t, http.StatusOK, w.Code, step)
		for _, problem := range pagetest.Examine(w.Body.String()) {
			t.Errorf("%s: %s", step, problem)
		}
		assert.Contains(t, w.Body.String(), "Type each of these again", "secret")
	}
	w := post("apply")
	assert.Equal(t, http.StatusSeeOther, w.Code)
	assert.Equal(t, "connector?name=x", w.Header().Get("Location"))
	w = post("download")
	assert.Equal(t, formText, w.Body.String())
	assert.Equal(t, "attachment; filename=x.properties", w.Header().Get("Content-Disposition"))
}

// The page of a configuration reads it once. Its top has a notice that a connector of a file cannot be saved here.
func TestConfigurationOfFileHasANotice(t *testing.T) {
	for version, isSaved := range map[string]bool{"v1": true, "": false} {
		f := newFakeAPI()
		f.version = version
		page := serve(t, newConsole(f), "GET", "/console/form?name=x", nil).Body.String()
		_, target := rest.Target("GET /connectors/{name}/config", "x")
		assert.Equal(t, 1, strings.Count(f.log(), "GET "+target+"?"), "reads of the configuration")
		notice := strings.Index(page, "comes from a file and cannot be saved here")
		assert.Equal(t, isSaved, notice < 0, version, "has no notice")
		assert.Equal(t, true, notice < strings.Index(page, `id="fragment-fields"`), "the notice is above the fields")
	}
}

// A new form has no errors before a check or a review. A check of the logon shows only the errors of the step Service.
// A logon that was not tried is no error.
func TestNewFormHasNoErrors(t *testing.T) {
	f := newFakeAPI()
	value := check.Value{Visible: true, Errors: []string{"it is missing"}}
	validation := check.Validation{Groups: []string{hostileText}, Configs: []check.Validated{
		{Definition: check.Definition{Name: "name"}, Value: value},
		{Definition: check.Definition{Name: "o#00.entityset", Group: new(hostileText)}, Value: value},
		{
			Definition: check.Definition{Name: "secret", Type: "PASSWORD"},
			Value:      check.Value{Visible: true, Errors: []string{check.LogonNotTried + "it is new"}},
		},
	}}
	f.responses["PUT /connector-plugins/C/config/validate"] = validation
	page := serve(t, newConsole(f), "GET", "/console/form?class=C", nil).Body.String()
	assert.Equal(t, 0, strings.Count(page, "it is missing"), "errors of a new form")
	form := formOf(t, page)
	for step, want := range map[string]int{"update": 0, "check": 1, "review": 2} {
		form.Set("step", step)
		page = serve(t, newConsole(f), "POST", "/console/form", form).Body.String()
		assert.Equal(t, want, strings.Count(page, "it is missing"), step)
		assert.Contains(t, page, `n">Logon not tried: it is new</p>`)
	}
}

// A review shows its warnings above the button that applies the change, such as that a topic stays empty.
func TestWarningsAreAboveTheButton(t *testing.T) {
	f := newFakeAPI()
	const warning = "this start reads nothing into topic b: the set was read completely at 2026-11-24T12:00:00Z"
	f.responses["POST /culvert/diff"] = json.RawMessage(`{"effect":"restart","differences":[],
		"warnings":["` + warning + `"]}`)
	page := serve(t, newConsole(f), "POST", "/console/form", url.Values{"name": {"x"}, "step": {"review"},
		"text": {"connector.class=C\n"}}).Body.String()
	warningStart := strings.Index(page, warning)
	buttonStart := strings.Index(page, `value="apply"`)
	assert.True(t, warningStart >= 0 && warningStart <= buttonStart,
		"expected the warning above the button at %d, found it at %d", buttonStart, warningStart)
}

// The page of a connector has no time of a complete read if an earlier run has read the set.
func TestTimeOfCompleteRead(t *testing.T) {
	f := newFakeAPI()
	_, target := rest.Target("GET /culvert/connectors/{name}", "x")
	for lastRead, want := range map[string]string{
		`null`:                   `data-label="Complete">–<`,
		`"2026-11-24T12:00:00Z"`: `data-label="Complete"><time datetime="2026-11-24T12:00:00Z"`,
	} {
		f.responses["GET "+target] = json.RawMessage(`{"name":"x","tasks":[{"id":0,"rows":0,"feeds":[{"name":"a",
			"last_caught_up":"2026-11-25T12:00:00Z","complete":"key","last_read":` + lastRead + `}]}]}`)
		assert.Contains(t, serve(t, newConsole(f), "GET", "/console/connector?name=x", nil).Body.String(), want)
	}
}

// The script gets only fragments, with the result of the review, and a redirect after the change was applied.
func TestScriptGetsFragmentsOfSteps(t *testing.T) {
	post := func(step string) (response map[string]json.RawMessage) {
		w := serve(t, newConsole(newFakeAPI()), "POST", "/console/form?fragments=", url.Values{
			"name":     {"x"},
			"version":  {`"v1"`},
			"base":     {formText},
			"text":     {formText},
			"step":     {step},
			"reviewed": {(&formPage{Text: formText}).ReviewToken()},
		})
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &response), step, "JSON", w.Body)
		return response
	}
	fragments := post("review")
	assert.Equal(t, 4, len(fragments))
	assert.Contains(t, string(fragments["review"]), "The tasks stop and are created again")
	assert.Equal(t, `"connector?name=x"`, string(post("apply")["to"]))
}

// A worker that is still starting leaves fields and text unchanged: the script retries, and without the script the page
// contains the typed values.
func TestFormKeepsValuesWhileWorkerStarts(t *testing.T) {
	f := newFakeAPI()
	f.refusals["PUT /connector-plugins/C/config/validate"] = 409
	form := url.Values{"name": {"x"}, "base": {formText}, "text": {formText + "mine=1\n"}, "step": {"update"}}
	w := serve(t, newConsole(f), "POST", "/console/form?fragments=", form)
	assert.True(t, w.Code == 409 && strings.HasPrefix(w.Body.String(), `{"error":"no: `),
		"the script: expected 409 with an error, found %d %s", w.Code, w.Body)
	w = serve(t, newConsole(f), "POST", "/console/form", form)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Contains(t, w.Body.String(), "mine=1", "no: ")
}

// Only reviewed changes are applied, and no typed secret is lost: without the script its field is empty after the
// review, and the stored secret would stay.
func TestOnlyReviewedChangesAreApplied(t *testing.T) {
	for name, test := range map[string]struct {
		reviewed formPage
		fields   url.Values // as sent after the review
	}{
		"a secret is missing": {
			reviewed: formPage{Text: formText, Retype: []string{"secret"}},
			fields:   url.Values{"f.secret": {""}, "s.secret": {"yes"}},
		},
		"a value was changed": {
			reviewed: formPage{Text: formText},
			fields:   url.Values{"f.name": {"y"}},
		},
	} {
		f := newFakeAPI()
		form := url.Values{
			"name":     {"x"},
			"version":  {"v1"},
			"base":     {formText},
			"text":     {formText},
			"step":     {"apply"},
			"reviewed": {test.reviewed.ReviewToken()},
		}
		maps.Copy(form, test.fields)
		w := serve(t, newConsole(f), "POST", "/console/form", form)
		assert.Contains(t, w.Body.String(), "The form was changed after the review", "Effect of this change")
		assert.NotContains(t, f.log(), "PUT /connectors/", name, "change")
	}
}

// A configuration that was changed in the meantime is not overwritten: the page reports that and keeps the typed
// values.
func TestConcurrentChangeIsNotOverwritten(t *testing.T) {
	f := newFakeAPI()
	_, target := rest.Target("PUT /connectors/{name}/config", "x")
	f.refusals["PUT "+target] = 412
	w := serve(t, newConsole(f), "POST", "/console/form", url.Values{
		"name":     {"x"},
		"version":  {`"v0"`},
		"base":     {formText},
		"text":     {formText + "mine=1\n"},
		"step":     {"apply"},
		"reviewed": {(&formPage{Text: formText + "mine=1\n"}).ReviewToken()},
	})
	assert.Contains(t, w.Body.String(), "Nothing was stored", "mine=1")
}

// A chain that was tried on the page of records replaces the stored one, and nothing else changes.
func TestTriedChainReplacesStoredChain(t *testing.T) {
	f := newFakeAPI()
	_, target := rest.Target("GET /connectors/{name}/config", "x")
	f.responses["GET "+target+" text"] = formText + "transforms=a,b\ntransforms.a.type=A\ntransforms.b.type=B\n# end\n"
	post := func(chain string) (text, page string) {
		w := serve(t, newConsole(f), "POST", "/console/form", url.Values{
			"name":   {"x"},
			"sample": {"s1"},
			"step":   {"chain"},
			"chain":  {chain},
		})
		assert.Equal(t, http.StatusOK, w.Code)
		_, text, _ = strings.Cut(w.Body.String(), `<textarea id="text"`)
		_, text, _ = strings.Cut(text, ">\n")
		text, _, _ = strings.Cut(text, "</textarea>")
		return html.UnescapeString(text), w.Body.String()
	}
	text, _ := post("transforms=a\r\ntransforms.a.type=C\r\nname=y\r\n")
	assert.Equal(t, formText+"transforms=a\ntransforms.a.type=C\n# end\n", text)
	text, page := post("a=\\u00zz")
	assert.Equal(t, f.responses["GET "+target+" text"].(string), text)
	assert.Contains(t, page, "The chain is invalid")
}

// A form without the name of a connector is rejected.
func TestFormWithoutANameIsRejected(t *testing.T) {
	w := serve(t, newConsole(newFakeAPI()), "GET", "/console/form?name=", nil)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Contains(t, w.Body.String(), "expected the name of a connector")
	w = serve(t, newConsole(newFakeAPI()), "POST", "/console/form", url.Values{"step": {"chain"}})
	assert.Equal(t, http.StatusBadRequest, w.Code)
}
