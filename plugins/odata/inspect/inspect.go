package inspect

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/wit"
)

// Ping compares the service document with the metadata.
func Ping(root string, m *edm.Model, answers []wit.Response) (jsontext.Value, error) {
	what := "service document of " + root
	if len(answers) < 2 {
		return jsontext.Value{}, &wit.Fault{Kind: wit.FaultInternal, Message: what + ": no answer was handed in"}
	}
	answer := &answers[1]
	if answer.Status < 200 || answer.Status > 299 {
		return jsontext.Value{}, fault.Of(what, answer, answer.Body)
	}
	collections, ok := service.Collections(answer.Body)
	if !ok {
		return jsontext.Value{}, fault.NotData(what, "a service document", answer.Body)
	}
	return jsontext.Of(
		Member("service", jsontext.Text(root)),
		Member("collections", number(len(collections))),
		Member("entitySets", number(len(m.Sets))),
		Member("entityTypes", number(entityTypes(m))),
		Member("functionImports", number(len(m.Functions))),
	), nil
}

func entityTypes(m *edm.Model) int {
	n := 0
	for _, s := range m.Structures {
		if !s.Complex {
			n++
		}
	}
	return n
}

// Member is a member of a JSON object.
func Member(name string, v jsontext.Value) jsontext.Member {
	return jsontext.Member{Name: name, Value: v}
}

func number[T int | int8 | int16 | int32 | int64](n T) jsontext.Value {
	return numeral(strconv.FormatInt(int64(n), 10))
}

func numeral(text string) jsontext.Value { return jsontext.Value{Kind: jsontext.Number, Text: text} }

// ListSets is a table of the entity sets.
func ListSets(m *edm.Model) jsontext.Value {
	list := jsontext.List()
	for _, s := range m.Sets {
		var keys []string
		if t := m.Structure(s.Type); t != nil {
			keys = t.Key
		}
		list.Items = append(list.Items, jsontext.Of(
			Member("name", jsontext.Text(service.Address(s))),
			Member("type", jsontext.Text(s.Type)),
			Member("key", jsontext.Text(strings.Join(keys, ","))),
			Member("creatable", jsontext.Bool(s.Creatable)),
			Member("deletable", jsontext.Bool(s.Deletable)),
			Member("changeTracking", jsontext.Bool(s.ChangeTracking)),
			Member("label", jsontext.Text(s.Label)),
		))
	}
	return list
}

// ExtractSchema answers the schemas of keys, where there are any, and values; the host shows them in the form that the
// user wants.
func ExtractSchema(root, set string, m *edm.Model, given []wit.Setting) (wit.Reply, error) {
	f, err := feed.New(configured(root, set, given), m)
	if err != nil {
		return wit.Reply{}, err
	}
	var schemas []wit.Schema
	if f.Key.Nodes != nil {
		schemas = append(schemas, f.Key)
	}
	schemas = append(schemas, f.Value)
	return wit.Reply{Schemas: &schemas}, nil
}

// Option is the value of an option by one of its names, "" for none.
func Option(options []wit.Setting, names ...string) string {
	for _, o := range options {
		for _, name := range names {
			if o.Name == name {
				return strings.TrimSpace(o.Value)
			}
		}
	}
	return ""
}

// Options of the commands, by the letters of the original's command line.
const (
	OptionService = "s"
	OptionSet     = "e"
)

// configured is the entry that the connector's file has for a set, with what it says of rows and types; else a plain
// one.
func configured(root, set string, given []wit.Setting) entry.Entry {
	v := entry.Table.Values(given)
	for _, e := range entry.Entries(v) {
		if e.Service == root && e.Set == set {
			return e
		}
	}
	e := entry.Entry{Number: "00", Service: root, Set: set, Query: config.Query(v), Count: true}
	e.Options.ScaleFallback = v.Number(entry.ScaleFallback)
	return e
}
