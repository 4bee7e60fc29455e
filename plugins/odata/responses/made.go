package responses

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func hasInitialKey(t *requests.Target) bool {
	values, _ := t.Set.KeyLiterals(t.Predicate)
	return slices.ContainsFunc(values, func(v uri.Literal) bool { return encode.IsInitial(v.Text) })
}

func (s handler) learnKeys(t *requests.Target, location string) {
	if t.Predicate == "" || strings.HasSuffix(location, t.Predicate) ||
		strings.Contains(location, setting.Hidden) { // the host has redacted a part of the key
		return
	}
	sent, ok := t.Set.KeyLiterals(t.Predicate)
	if !ok {
		return
	}
	found, ok := t.Set.KeyLiterals(location)
	if !ok {
		return
	}
	before := s.SetCapabilities[t.Set.CapabilityIndex]
	now := &s.SetCapabilities[t.Set.CapabilityIndex]
	for i := range sent {
		if isReplaced(sent[i], found[i]) {
			now.FillsInitial = now.FillsInitial || encode.IsInitial(sent[i].Text)
			now.Numbers = now.Numbers || !encode.IsInitial(sent[i].Text)
		}
	}
	if *now == before {
		return
	}
	text := t.Name() + ": the service created " + location + " for an entity with the key " + t.Predicate
	if now.Numbers {
		text += ": it replaces keys, so later records with that key would concern another entity, and fail"
	}
	sdk.Log(wit.LevelWarn, text)
}

// isReplaced reports whether a service replaced a key value. Padding, other case and trimmed blanks are no replacement.
func isReplaced(sent, found uri.Literal) bool {
	whole := func(t edm.Primitive) bool { return t == edm.Int32 || t == edm.Int64 }
	switch {
	case sent.Type == edm.String && found.Type == edm.String:
		return encode.CanonicalText(sent.Text) != encode.CanonicalText(found.Text)
	case sent.Type == found.Type || whole(sent.Type) && whole(found.Type):
		order, ok := value.Compare(found.Type, sent.Text, found.Text)
		return ok && order != 0 && sent.Text != found.Text
	}
	return false
}
