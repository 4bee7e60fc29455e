package operate

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Rows of a source and of a sink are shown before and after each transform, as the tasks have them; they make a test
// that holds. Nothing of them is in the log or on a disk.
func TestSamples(t *testing.T) {
	t.Parallel()
	const transforms = "org.apache.kafka.connect.transforms."
	p, plugins := e2etest.NewPlace(t), e2etest.Plugins(t, "odata-sink", "smt")
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 30})
	chain := []string{"transforms=mask,in,route", "predicates=other",
		"transforms.mask.type=" + transforms + "MaskField$Value", "transforms.mask.fields=Country",
		"transforms.in.type=" + transforms + "InsertField$Value", "transforms.in.static.field=Origin",
		"transforms.in.static.value=here",
		"transforms.route.type=" + transforms + "RegexRouter", "transforms.route.regex=.*",
		"transforms.route.replacement=${file:" + p.File("hidden.properties", "topic=hush-hush") + ":topic}",
		"transforms.route.predicate=other", "predicates.other.type=" + transforms + "predicates.TopicNameMatches",
		"predicates.other.pattern=elsewhere"}
	p.File("conf/there.properties", append(e2etest.Source("there", address, "Customers"), chain...)...)
	p.File("conf/back.properties", append(e2etest.SinkOf("back", address, "Products", "ProductCopies"), "transforms=drop",
		"predicates=gone", "transforms.drop.type="+transforms+"Filter", "transforms.drop.predicate=gone",
		"predicates.gone.type="+transforms+"predicates.RecordIsTombstone")...)
	f := p.FollowsWith(plugins, "conf")
	f.Await("there", "runs", e2etest.Runs)
	f.Changes()
	f.Steer("there", "stop")
	const at = "/culvert/connectors/there/samples"
	asked := e2etest.As[rest.Sample](t, f.Must(202, "POST", at, `{"rows":5}`, `"show":"full"`))
	shape := e2etest.As[rest.Sample](t, f.Must(202, "POST", at, `{"rows":3,"show":"shape"}`))
	f.Must(200, "DELETE", "/connectors/there/offsets", "")
	f.Steer("there", "resume")
	f.Until(200, "GET", at+"/"+asked.ID, "", `"state":"done"`)
	text := f.Must(200, "GET", at+"/"+asked.ID, "")
	taken := e2etest.As[rest.Sample](t, text)
	if len(taken.Rows) != 5 || taken.Problem != "" || len(taken.Steps) != 3 {
		t.Fatalf("found %s", text)
	}
	for _, row := range taken.Rows {
		mask, in, route := row.Steps[0], row.Steps[1], row.Steps[2]
		if row.Problem != "" || row.Feed != "Customers" || row.Came.Topic != "Customers" || mask.Did != "changed" ||
			!strings.Contains(mask.Records[0].Value, `"Country": ""`) || strings.Contains(row.Came.Value, `"Country": ""`) ||
			!strings.Contains(in.Records[0].Value, `"Origin": "here"`) || route.Did != "skipped" ||
			!strings.Contains(row.Came.ValueSchema, `"field": "Country"`) {
			t.Errorf("found %+v", row)
		}
	}
	country := `"Country": "string(`
	f.Until(200, "GET", at+"/"+shape.ID, "", `"state":"done"`, strings.ReplaceAll(country, `"`, `\"`))
	f.Must(403, "GET", at+"/"+shape.ID+"?as=test", "", "shows no values")
	f.Must(404, "GET", "/culvert/connectors/back/samples/"+asked.ID, "")

	// Another chain of the same rows, and one that is wrong.
	f.Must(200, "POST", at+"/"+asked.ID+"/chain", `{"config":{"connector.class":"x","transforms":"up","transforms.up.type":"`+
		transforms+`HoistField$Value","transforms.up.field":"row"}}`, `\"row\": {`)
	f.Must(400, "POST", at+"/"+asked.ID+"/chain", `{"config":{"transforms":"up","transforms.up.type":"`+transforms+
		`HoistField$Value"}}`, "transforms.up.field")
	f.Must(400, "POST", at+"/"+asked.ID+"/chain", `{"config":{"transforms":"up","transforms.up.type":"Nothing"}}`,
		"transforms.up.type")

	// The rows are a test, in which the reference stays one.
	test := f.Must(200, "GET", at+"/"+asked.ID+"?as=test", "", "transforms.route.replacement", "${file:")
	file := p.File("there_test.yaml", test)
	p.MustRun("test", "--plugins", plugins, "--data", p.Data, file)
	p.Run("test", "--plugins", plugins, "--data", p.Data, p.File("wrong_test.yaml", strings.Replace(test,
		"static.value: here", "static.value: there", 1))).Exits(1)

	// A sink's rows.
	f.Await("back", "runs", e2etest.Runs)
	c := e2etest.As[rest.Sample](t, f.Must(202, "POST", "/culvert/connectors/back/samples", `{"rows":2}`))
	p.File("conf/products.properties", e2etest.Source("products", address, "Products")...)
	f.Until(200, "GET", "/culvert/connectors/back/samples/"+c.ID, "", `"state":"done"`, `"topic":"Products"`, `"alias":"drop","class":"`+transforms+`Filter","predicate":"gone"`,
		`"did":"skipped"`, "ProductName")
	f.Await("products", "runs", e2etest.Runs)
	if s.Count("ProductCopies") == 0 {
		f.Eventually("copies", func() bool { return s.Count("ProductCopies") > 0 })
	}

	// Where there are no transforms, rows are as they came.
	f.Steer("products", "stop")
	plain := e2etest.As[rest.Sample](t, f.Must(202, "POST", "/culvert/connectors/products/samples", `{"rows":1}`))
	f.Must(200, "DELETE", "/connectors/products/offsets", "")
	f.Steer("products", "resume")
	f.Until(200, "GET", "/culvert/connectors/products/samples/"+plain.ID, "", `"state":"done","wanted":1`, `ProductName`,
		`"steps":[]`)

	stopped := f.Command.Stop()
	e2etest.Lacks(t, "the log", stopped.Stderr, "Obere Str. 57", "hush-hush")
}

// Commands of a connector's plugin run with its settings.
func TestToolsByREST(t *testing.T) {
	t.Parallel()
	p, plugins := e2etest.NewPlace(t), e2etest.Plugins(t, "smt")
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	p.File("conf/there.properties", append(e2etest.Source("there", address, "Customers"), "transforms=in",
		"transforms.in.type=org.apache.kafka.connect.transforms.InsertField$Value", "transforms.in.static.field=Origin",
		"transforms.in.static.value=here")...)
	f := p.FollowsWith(plugins, "conf", "console.records=full")
	f.Await("there", "runs", e2etest.Runs)
	const at = "/culvert/connectors/there/tools"
	f.Must(200, "GET", at, "", `{"name":"peek"`, `{"name":"e","type":"string","required":true,`)
	peek := `{"options":{"s":"` + odatatest.NorthwindPath + `","e":"Customers","n":"2"}`
	f.Must(200, "POST", at+"/peek", peek+"}", `"rows":[{`, `"CustomerID":"`)
	f.Must(200, "POST", at+"/ping", `{"options":{"s":"`+odatatest.NorthwindPath+`"}}`)
	for body, says := range map[string]string{`{"options":{"x":"1"}}`: "option x: peek has none of this name",
		`{"options":{"s":"/x"}}`: "is required", `{"options":{"s":"/x","e":"C","n":"many"}}`: "option n"} {
		f.Must(400, "POST", at+"/peek", body, says)
	}
	// Commands that change something at the service are not listed, and are refused before they run.
	if said := f.Must(200, "GET", at, ""); strings.Contains(said, "delete-subscription") || strings.Contains(said, "retire") {
		t.Errorf("expected commands that read, found %s", said)
	}
	f.Must(409, "POST", at+"/delete-subscription", `{"options":{"u":"`+odatatest.NorthwindPath+`/SubscriptionCollection('1')"}}`,
		"only commands that read", "culvert delete-subscription")
	f.Must(409, "POST", at+"/retire", "{}", "only commands that read")
	f.Must(404, "POST", at+"/wander", "{}", "has no command wander")
	f.Stop()
}
