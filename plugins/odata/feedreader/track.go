package feedreader

import (
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// DetectTracking finds out how the service tracks changes, and chooses the format.
func (f *Feed) DetectTracking(model *edm.Model, set *edm.Set) error {
	if !f.Tracking.On {
		return nil
	}
	if set.Singleton {
		name := f.Setting(sourceconfig.NameTrackChanges)
		return odataerror.ForSetting(name, f.Set+" of "+f.Service+" is a single entity, whose changes services do not "+
			"track: expected "+name+" = 0")
	}
	links := model.Set("DeltaLinksOf" + set.Name)
	nameOf := func(prefix string) string {
		for _, fn := range model.Functions {
			if fn.Name == prefix+set.Name {
				return fn.Name
			}
		}
		return ""
	}
	if subscribed := nameOf("SubscribedTo"); links != nil && subscribed != "" {
		f.ODP = &ODP{Links: document.SetAddress(links), Subscribed: subscribed, Terminate: nameOf("TerminateDeltasFor")}
	}
	if !f.Dialect.Atom {
		// rows are in JSON, also those that report deleted entities
	} else if !f.Formatted {
		// SAP Gateway reports deleted entities in Atom only; ODP reports them as rows.
		f.Atom = f.ODP == nil
	} else if !f.Atom && f.ODP == nil {
		sdk.Log(wit.LevelWarn, "entity set "+f.Set+" of "+f.Service+": SAP Gateway does not report "+
			"deleted entities in JSON; "+f.Setting(sourceconfig.NameFormat)+" = atom, or none, does")
	}
	if f.ODP == nil && !f.DeclaresTracking {
		sdk.Log(wit.LevelInfo, "entity set "+f.Set+" of "+f.Service+": $metadata announces no change tracking; the "+
			"end of the first load shows whether there is a delta link")
	}
	return nil
}

func (o *ODP) pack(dst []byte) []byte {
	if o == nil {
		return pack.Bool(dst, false)
	}
	return pack.String(pack.String(pack.String(pack.Bool(dst, true), o.Links), o.Subscribed), o.Terminate)
}

// findSubscriptions finds the entity set for subscriptions, if these are configured.
func (f *Feed) findSubscriptions(model *edm.Model) error {
	if !f.Subscribing.On {
		return nil
	}
	name := f.Setting(sourceconfig.NameSubscription)
	if model.Set(f.Set) == nil {
		return odataerror.ForSetting(name, f.Set+" of "+f.Service+" is not an entity set of the service, which "+
			"accepts subscriptions to entity sets only")
	}
	if f.Subscriptions = SubscriptionSet(model); f.Subscriptions == "" {
		return odataerror.ForSetting(name, "the service "+f.Service+" accepts no subscriptions: it has no entity set "+
			DefaultSubscriptionSet)
	}
	if f.NotificationOnly() && len(f.EntityType().Key) == 0 {
		return odataerror.ForSetting(name, "entities of "+f.Set+" of "+f.Service+" have no key by which one "+
			"that changed could be read")
	}
	return nil
}

// SubscriptionSet returns the service's entity set for subscriptions, or "".
func SubscriptionSet(model *edm.Model) string {
	for _, set := range model.Sets {
		if set.Subscription || set.Name == DefaultSubscriptionSet {
			return document.SetAddress(set)
		}
	}
	return ""
}

// DefaultSubscriptionSet is the name in SAP Gateway's notification model.
const DefaultSubscriptionSet = "SubscriptionCollection"
