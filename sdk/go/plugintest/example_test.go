package plugintest_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// upper is the tested transform. It converts a field to upper case.
type upper struct{}

func (upper) Describe() wit.Description {
	return wit.Description{Name: "upper", Version: "1.0.0", Components: []wit.Component{{Name: "example.Upper",
		Kind: wit.ComponentTransformation, Documentation: "Converts a field to upper case.",
		Settings: []wit.ConfigKey{{Name: "field", Kind: wit.KindString, Documentation: "Name of the field."}}}}}
}

func (upper) New(_ string, settings []wit.Setting) (transform.Func, error) {
	field := ""
	for _, s := range settings {
		field = s.Value
	}
	return func(r *transform.Record) error {
		if text, ok := r.Value.String(field); ok {
			return r.Value.SetString(field, strings.ToUpper(text))
		}
		return nil
	}, nil
}

// A test of a transform consists of records and the expected results.
func ExampleRunTransform() {
	_ = testUpper // as TestUpper in a test file
}

func testUpper(t *testing.T) {
	stages := []wit.Stage{{Component: "example.Upper", Settings: []wit.Setting{{Name: "field", Value: "name"}}}}
	person := func(name string) plugintest.Record {
		return plugintest.Record{Topic: "people",
			Value: plugintest.Value{Data: connectdata.Map{{Key: "name", Value: name}, {Key: "city", Value: "London"}}}}
	}
	keyOnly := plugintest.Record{Topic: "people", Key: plugintest.Value{Data: "1"}}
	got := plugintest.RunTransform(t, transform.Records(upper{}), stages, person("Ada"), keyOnly)
	want := []plugintest.Result{{Records: []plugintest.Record{person("ADA")}}, {Records: []plugintest.Record{keyOnly}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUpper(t *testing.T) { testUpper(t) }

// Values of every kind are compared: also a decimal without a schema, and one that is no number.
func TestTransformedValuesAreCompared(t *testing.T) {
	amount := connectdata.Decimal{Unscaled: big.NewInt(1250), Scale: 2}
	record := plugintest.Record{Topic: "sales", Value: plugintest.Value{Data: connectdata.Map{
		{Key: "name", Value: "a"}, {Key: "amount", Value: amount}, {Key: "rate", Value: math.NaN()}}}}
	stages := []wit.Stage{{Component: "example.Upper", Settings: []wit.Setting{{Name: "field", Value: "name"}}}}
	got := plugintest.RunTransform(t, transform.Records(upper{}), stages, record)
	fields := got[0].Records[0].Value.Data.(connectdata.Map)
	decimal := fields[1].Value.(connectdata.Decimal)
	if fields[0].Value != "A" || decimal.Scale != 2 || decimal.Unscaled.Cmp(amount.Unscaled) != 0 {
		t.Errorf("expected A and 12.50, found %v", fields)
	}
}

// news is the tested source. It reads a list of titles.
type news struct{}

func (news) Describe() wit.Description {
	return wit.Description{Name: "news", Version: "1.0.0", Components: []wit.Component{{Name: "example.News",
		Kind: wit.ComponentSource, Documentation: "Reads titles.",
		Settings: []wit.ConfigKey{{Name: "topic", Kind: wit.KindString, Documentation: "Topic of the titles."}}}}}
}

func (news) Validate(string, []wit.Setting, bool, []byte, []wit.Response) (wit.ValidateResult, error) {
	return wit.ValidateResult{Done: &[]wit.ConfigValue{}}, nil
}

func (news) Feeds(_ string, settings []wit.Setting) ([]source.Feed, error) {
	request := func(source.Offset) (wit.Request, error) { return wit.Request{Target: "/news"}, nil }
	read := func(_ source.Offset, response wit.Response) (page source.Page, err error) {
		for title := range strings.Lines(string(response.Body)) {
			page.Records = append(page.Records, source.Record{Value: strings.TrimSpace(title)})
		}
		return page, nil
	}
	return []source.Feed{{Name: "news", Topic: settings[0].Value, Identity: "/news", Request: request, Read: read}}, nil
}

// A test of a source runs golden files, which contain recorded responses, such as testdata/news/titles.txt:
//
//	[example.News]
//	topic=news
//
//	GET /news
//	200
//
//	rain
//	sun
//	-----
//	feed news, topic news, partition {"feed":"news"}
//	GET /news
//	{"row":0,"key":null,"value":"rain"}
//	{"row":1,"key":null,"value":"sun"}
//	offset {"sdk.finished":true}
//	finished
func ExampleRunSource() {
	_ = func(t *testing.T) { // as TestNews in a test file
		plugintest.RunSource(t, source.Pages(news{}), "testdata/news/*.txt")
	}
}

func TestNews(t *testing.T) {
	plugintest.RunSource(t, source.Pages(news{}), "testdata/news/*.txt")
}
