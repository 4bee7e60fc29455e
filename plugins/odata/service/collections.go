package service

import (
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
)

// Collections are the names in a service document, in JSON or in Atom's publishing format; false: it is none.
func Collections(body []byte) ([]string, bool) {
	if v, err := jsontext.Parse(body); err == nil {
		if v.Has("d") {
			v = v.Get("d")
		}
		var names []string
		for _, item := range v.Get("EntitySets").Items {
			names = append(names, item.Text)
		}
		return names, v.Has("EntitySets")
	}
	r := markup.NewReader(body)
	if kind, err := r.Next(); err != nil || kind != markup.Open || r.Local != "service" {
		return nil, false
	}
	var names []string
	for {
		kind, err := r.Next()
		switch {
		case err != nil:
			return nil, false
		case kind == markup.End:
			return names, true
		case kind == markup.Open && r.Local == "collection":
			href, _ := r.Attribute("href")
			names = append(names, href)
		}
	}
}
