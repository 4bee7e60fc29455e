// Package document requests and reads documents as a whole: those that describe services (service.go), and entities and
// feeds in verbose JSON or Atom, which become a JSON tree. Package decode reads pages of rows instead, and streams.
package document

import (
	"bytes"
	"cmp"
	"errors"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// Parse reads an entity or a feed. Of JSON it returns the content of d, if present. Atom is converted to the same form:
//
//   - a feed is an object with results and __next;
//   - an entity is an object with its properties, as texts, nulls, or empty objects for complex ones;
//   - a link is a member after the properties, named by the end of its relation, with __deferred and expanded content;
//   - __metadata has uri, type, etag, title, updated and user.
func Parse(body []byte) (value jsontext.Value, err error) {
	if start := trimStart(body); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		if value, err = jsontext.Parse(body); value.Has("d") {
			value = value.Get("d")
		}
		return value, err
	}
	reader := atomReader{markup.NewReader(body), new(int)}
	kind, err := reader.Next()
	switch {
	case err != nil:
		return value, err
	case kind == markup.Open && reader.Local == "entry":
		value, err = reader.entry()
	case kind == markup.Open && reader.Local == "feed":
		value, err = reader.feed()
	default:
		return value, errNoEntry
	}
	// The rest is read, too: a document that is cut off, or has a second root element, is not used.
	for err == nil && kind != markup.End {
		kind, err = reader.Next()
	}
	if err != nil {
		return jsontext.Value{}, err
	}
	return value, nil
}

var errNoEntry = errors.New("expected an entry or a feed, found another element")

func trimStart(body []byte) []byte { return bytes.TrimLeft(body, " \t\r\n\xef\xbb\xbf") }

// ETag returns the ETag of an entity, "" if it has no ETag. Of Atom it mostly reads only the start tag, and checks that
// the document is not cut off.
func ETag(body []byte) (string, error) {
	if start := trimStart(body); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		root, err := jsontext.Check(body)
		if err != nil {
			return "", err
		}
		for _, name := range []string{"@odata.etag", "@etag"} { // of OData v4
			if bytes.Contains(body, []byte(name)) && root.Member(name) != nil {
				return root.Member(name).Text()
			}
		}
		if entity := root.Member("d"); entity != nil {
			root = entity
		}
		return root.Member("__metadata").Member("etag").Text()
	}
	if end := string(scan.XMLRoot(body)) + ">"; !bytes.HasSuffix(bytes.TrimSpace(body), []byte("</"+end)) {
		entity, err := Parse(body) // the end tag contains white space, or text follows it
		return entity.Get("__metadata", "etag").Text, err
	}
	reader := markup.NewReaderNoCopy(body)
	switch _, err := reader.Next(); {
	case err != nil:
		return "", err
	case reader.Local == "feed":
		return "", nil
	case reader.Local != "entry":
		return "", errNoEntry
	}
	tag, _ := reader.Attribute("etag")
	return tag, nil
}

// Items returns the entities of a feed. ok is false for other values.
func Items(v jsontext.Value) (items []jsontext.Value, ok bool) {
	switch {
	case v.Kind == jsontext.Object && v.Has("results"):
		v = v.Get("results")
	case v.Kind == jsontext.Object: // of OData v4
		v = v.Get("value")
	}
	return v.Items, v.Kind == jsontext.Array
}

// MaxEntries limits the entries of all feeds of an Atom document.
const MaxEntries = 10_000

// ErrTooMany reports a document with more than [MaxEntries].
var ErrTooMany = errors.New("expected at most " + strconv.Itoa(MaxEntries) + " entries, found more")

// atomReader reads elements after their start tags, each to its end. entries counts the entries of feeds.
type atomReader struct {
	*markup.Reader
	entries *int
}

// eachChild calls do for each child element. do must read the element to its end.
func (a atomReader) eachChild(do func() error) error {
	for {
		kind, err := a.Next()
		if err != nil || kind == markup.Close {
			return err
		}
		if kind == markup.Open {
			if err := do(); err != nil {
				return err
			}
		}
	}
}

// feed reads a feed as an object with results and __next.
func (a atomReader) feed() (jsontext.Value, error) {
	results := jsontext.NewArray()
	next := ""
	err := a.eachChild(func() error {
		switch a.Local {
		case "entry":
			*a.entries++
			if *a.entries > MaxEntries {
				return ErrTooMany
			}
			v, err := a.entry()
			results.Items = append(results.Items, v)
			return err
		case "link":
			if rel, _ := a.Attribute("rel"); rel == "next" {
				next, _ = a.Attribute("href")
			}
		}
		return a.Skip()
	})
	v := jsontext.NewObject(jsontext.Member{Name: "results", Value: results})
	if next != "" {
		v.Members = append(v.Members, textMember("__next", next))
	}
	return v, err
}

func textMember(name, s string) jsontext.Member {
	return jsontext.Member{Name: name, Value: jsontext.NewString(s)}
}

// entry reads an entry. The links follow the other members, see [Parse].
func (a atomReader) entry() (jsontext.Value, error) {
	value := jsontext.NewObject()
	metadata := jsontext.NewObject()
	var id, self, edit string
	var links []jsontext.Member
	if tag, ok := a.Attribute("etag"); ok {
		metadata.Members = append(metadata.Members, textMember("etag", tag))
	}
	addText := func(name string) error {
		content, err := a.Content()
		metadata.Members = append(metadata.Members, textMember(name, strings.TrimSpace(content)))
		return err
	}
	err := a.eachChild(func() error {
		switch a.Local {
		case "id":
			content, err := a.Content()
			id = strings.TrimSpace(content)
			return err
		case "title", "updated":
			return addText(a.Local)
		case "author":
			return a.eachChild(func() error {
				if a.Local != "name" {
					return a.Skip()
				}
				return addText("user")
			})
		case "category":
			term, _ := a.Attribute("term")
			metadata.Members = append(metadata.Members, textMember("type", term))
		case "link":
			rel, _ := a.Attribute("rel")
			href, _ := a.Attribute("href")
			switch name := rel[strings.LastIndexByte(rel, '/')+1:]; name {
			case "self":
				self = href
			case "edit":
				edit = href
			default:
				return a.link(name, href, &links)
			}
		case "content":
			return a.eachChild(func() error {
				if a.Local != "properties" {
					return a.Skip()
				}
				return a.properties(&value)
			})
		case "properties":
			return a.properties(&value)
		}
		return a.Skip()
	})
	if uri := cmp.Or(edit, self, id); uri != "" {
		metadata.Members = append(metadata.Members, textMember("uri", uri))
	}
	value.Members = append(append(value.Members, jsontext.Member{Name: "__metadata", Value: metadata}), links...)
	return value, err
}

// link adds a link with its expanded content to links.
func (a atomReader) link(name, href string, links *[]jsontext.Member) error {
	member := jsontext.Member{Name: name, Value: jsontext.NewObject()}
	err := a.eachChild(func() error {
		if a.Local != "inline" {
			return a.Skip()
		}
		return a.eachChild(func() (err error) {
			switch a.Local {
			case "feed":
				member.Value, err = a.feed()
			case "entry":
				member.Value, err = a.entry()
			default:
				err = a.Skip()
			}
			return err
		})
	})
	member.Value.Members = append(member.Value.Members, jsontext.Member{Name: "__deferred",
		Value: jsontext.NewObject(textMember("uri", href))})
	*links = append(*links, member)
	return err
}

// properties adds the properties to value. A complex property becomes an empty object.
func (a atomReader) properties(value *jsontext.Value) error {
	return a.eachChild(func() error {
		member := jsontext.Member{Name: a.Local, Value: jsontext.NewString("")}
		if null, _ := a.Attribute("null"); null == "true" {
			member.Value.Kind = jsontext.Null
		}
		for {
			kind, err := a.Next()
			switch {
			case err != nil:
				return err
			case kind == markup.Close:
				value.Members = append(value.Members, member)
				return nil
			case kind == markup.Text && member.Value.Kind == jsontext.String:
				member.Value.Text += a.Data
			case kind == markup.Open:
				member.Value = jsontext.NewObject()
				if err := a.Skip(); err != nil {
					return err
				}
			}
		}
	})
}
