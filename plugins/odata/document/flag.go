package document

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
)

// FindFlag finds a boolean by name in a JSON or XML document. ok is false if it is missing or not a boolean.
func FindFlag(body []byte, name string) (value, ok bool) {
	flagText := ""
	if v, err := jsontext.Parse(body); err == nil {
		member, isPresent := findMember(v, name, 0)
		if !isPresent {
			return false, false
		}
		flagText = member.Text
		if member.Kind == jsontext.True || member.Kind == jsontext.False {
			return member.Kind == jsontext.True, true
		}
	} else {
		r := markup.NewReader(body)
		for {
			kind, err := r.Next()
			if err != nil || kind == markup.End {
				return false, false
			}
			if kind == markup.Open && r.Local == name {
				if flagText, err = r.Content(); err != nil {
					return false, false
				}
				break
			}
		}
	}
	switch strings.ToLower(strings.TrimSpace(flagText)) {
	case "true", "x", "1":
		return true, true
	case "false", "", "0":
		return false, true
	}
	return false, false
}

// findMember searches a value, and the values in it, for a member with a name.
func findMember(value jsontext.Value, name string, depth int) (jsontext.Value, bool) {
	if depth > 6 { // deeper than any answer that has the flag
		return value, false
	}
	for _, m := range value.Members {
		if m.Name == name {
			return m.Value, true
		}
	}
	for _, m := range value.Members {
		if member, ok := findMember(m.Value, name, depth+1); ok {
			return member, true
		}
	}
	for i := range value.Items {
		if member, ok := findMember(value.Items[i], name, depth+1); ok {
			return member, true
		}
	}
	return value, false
}
