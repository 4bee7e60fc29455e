package entry

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Names of the settings of subscriptions.
const (
	subscriptionDest     = "sap.odata.subscription.dest"
	subscriptionURL      = "sap.odata.subscription.url"
	subscriptionPorts    = "sap.odata.subscription.ports"
	subscriptionUser     = "sap.odata.subscription.user"
	subscriptionPassword = "sap.odata.subscription.password"
	subscriptionKeyStore = "sap.odata.subscription.keystore."
	subscriptionTrust    = "sap.odata.subscription.truststore."
	NotificationCatchup  = "sap.odata.notification.catchup"
	notificationCheck    = "sap.odata.notification.check.seconds"
	notificationConfirm  = "sap.odata.notification.confirm.seconds"
)

// What is done at a start about changes that nobody listened to: CatchupReload has a set read again, CatchupStore the
// entities that SAP's notification store names.
const (
	CatchupReload = "reload"
	catchupStore  = "store"
)

func declareSubscriptions(t *setting.Table) {
	group := setting.InGroup("Subscriptions")
	t.Declare(
		setting.Define("sap.odata#{n}."+NameSubscription, wit.KindString, wit.Medium, setting.Default("0"),
			"1 has the service call when entities are created, changed or deleted. In delta mode the changes are "+
				"asked for then; in full mode "+
				"with "+NameExecPeriod+" = -1 the entities that a notification names are read, else the set is.",
			setting.Allowed(setting.BoolValues...), setting.InGroup("Entity set {n}"), setting.Display("Subscription")),
		setting.Define(subscriptionDest, wit.KindString, wit.Medium, nil,
			"Name of the RFC destination of type G in SAP that leads to the listener.", group,
			setting.Display("RFC destination")),
		setting.Define(subscriptionURL, wit.KindString, wit.Medium, nil,
			"URL under which the service reaches the listener, such as https://connect.example.com:8301, in "+
				"place of an RFC destination. Workers of a group all listen: there it is that of a load balancer, "+
				"which leads to any of them.",
			group, setting.Display("URL of the listener")),
		setting.Define(subscriptionPorts, wit.KindList, wit.Medium, nil,
			"Ports of the listener for notifications; the first free one is taken.",
			setting.Role(role.ListenerPorts), group, setting.Display("Ports of the listener")),
		setting.Define("sap.odata.subscription.address", wit.KindString, wit.Low, nil,
			"Address of this machine that the listener is reached at; all of them by default.",
			setting.Role(role.ListenerAddress), group, setting.Display("Address of the listener")),
		setting.Define(subscriptionUser, wit.KindString, wit.Medium, nil,
			"User by which the service logs on at the listener; without one nobody has to.",
			setting.Role(role.ListenerUser), group, setting.Display("User at the listener")),
		setting.Define(subscriptionPassword, wit.KindPassword, wit.Medium, nil, "Password of that user.",
			setting.Role(role.ListenerPassword), group, setting.Display("Password at the listener")),
		setting.Define(subscriptionKeyStore+"location", wit.KindString, wit.Medium, nil,
			"Path of the store with key and certificate of the listener, which takes TLS then.",
			setting.Role(role.ListenerTLS+"keystore.location"), group, setting.Display("Key store of the listener")),
		setting.Define(subscriptionKeyStore+"password", wit.KindPassword, wit.Medium, nil, "Password of that store.",
			setting.Role(role.ListenerTLS+"keystore.password"), group, setting.Display("Its password")),
		setting.Define(subscriptionKeyStore+"type", wit.KindString, wit.Medium, nil,
			"Type of that store: jks, jceks, pkcs12, pem.",
			setting.Role(role.ListenerTLS+"keystore.type"), group, setting.Display("Its type")),
		setting.Define(subscriptionTrust+"location", wit.KindString, wit.Low, nil, "Path of a store with the "+
			"certificates, or those of their issuers, of whom the listener takes notifications from; "+
			"without one no certificate is asked for.",
			setting.Role(role.ListenerTLS+"truststore.location"), group, setting.Display("Senders that are trusted")),
		setting.Define(subscriptionTrust+"password", wit.KindPassword, wit.Low, nil, "Password of that store.",
			setting.Role(role.ListenerTLS+"truststore.password"), group, setting.Display("Its password")),
		setting.Define(subscriptionTrust+"type", wit.KindString, wit.Low, nil,
			"Type of that store: jks, jceks, pkcs12, pem.",
			setting.Role(role.ListenerTLS+"truststore.type"), group, setting.Display("Its type")),
		setting.Define(NotificationCatchup, wit.KindString, wit.Low, setting.Default("none"),
			"What a set in full mode with "+NameExecPeriod+
				" = -1 does at a start about what was changed while the connector was down: none relies on "+
				"the service, which sends again what was not taken, and reads the set again where the subscription "+
				"was gone; store reads the entities that SAP's notification store names; reload reads the set again.",
			setting.Allowed("none", catchupStore, CatchupReload), group, setting.Display("After a restart")),
		setting.Define(notificationCheck, wit.KindInt, wit.Low, setting.Default("3600"),
			"Seconds after which a set in delta mode that waits for notifications alone asks for changes "+
				"without having learned of any: a subscription that leads nowhere shows then, and nothing is lost by "+
				"it. -1 relies on notifications.",
			setting.AtLeast(-1), setting.AtMost(maxSeconds), group, setting.Display("Check")),
		setting.Define(notificationConfirm, wit.KindInt, wit.Low, setting.Default("10"),
			"Seconds after which a set in full mode with "+NameExecPeriod+" = -1 reads an entity once more that is "+
				"not there although no notification said that it was deleted, or is there although one did: the "+
				"answer may come of an older copy of the service's data. 0: it is not read once more.",
			setting.AtLeast(0), setting.AtMost(maxConfirm), group, setting.Display("Confirm")),
	)
}

func readSubscribing(v setting.Values, g setting.Group) Subscribing {
	return Subscribing{On: On(g, NameSubscription), Catchup: v.Lower(NotificationCatchup), To: Delivery(v),
		Check: v.Int(notificationCheck), Confirm: v.Int(notificationConfirm)}
}

// Delivery is what addresses begin with that the service is given.
func Delivery(v setting.Values) string {
	if dest := v.String(subscriptionDest); dest != "" {
		return "urn:sap-com:channel:" + dest + ":"
	}
	return strings.TrimRight(v.String(subscriptionURL), "/")
}

// Stores reports whether the service is to keep its notifications.
func (e *Entry) Stores() bool { return e.Named() && e.Subscribing.Catchup == catchupStore }

// examineSubscriptions checks what settings of subscriptions say together.
func examineSubscriptions(examined []wit.ConfigValue, v setting.Values, all []Entry) {
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Subscribing.On })
	user, secret := v.String(subscriptionUser), v.String(subscriptionPassword)
	switch {
	case user == "" && secret != "":
		setting.AddError(examined, subscriptionUser, subscriptionPassword+" needs "+subscriptionUser)
	case user != "" && secret == "":
		setting.AddError(examined, subscriptionPassword, subscriptionUser+" needs "+subscriptionPassword)
	}
	for _, text := range v.List(subscriptionPorts) {
		if n, err := strconv.Atoi(text); err != nil || n < 1 || n > 65535 {
			setting.AddError(examined, subscriptionPorts, setting.Invalid(subscriptionPorts,
				v.String(subscriptionPorts),
				"expected ports from 1 to 65535 with commas between, found "+strconv.Quote(text)))
			break
		}
	}
	if v.Int(notificationCheck) == 0 {
		setting.AddError(examined, notificationCheck, setting.Invalid(notificationCheck, "0",
			"expected -1 or at least 1 second"))
	}
	dest, url := v.String(subscriptionDest), v.String(subscriptionURL)
	if dest != "" && url != "" {
		setting.AddError(examined, subscriptionURL, "Expected "+subscriptionDest+" or "+subscriptionURL+", found both")
	}
	if strings.ContainsAny(dest, ":/ ") {
		setting.AddError(examined, subscriptionDest, setting.Invalid(subscriptionDest, dest,
			"expected the name of an RFC destination"))
	}
	if rest, ok := cutScheme(url); url != "" && (!ok || rest == "" || strings.ContainsAny(rest, "?# ")) {
		setting.AddError(examined, subscriptionURL, setting.Invalid(subscriptionURL, url,
			"expected http://host:port or https://host:port, with a path or without"))
	}
	if i < 0 {
		return
	}
	enable := config.InGroup(all[i].Number, NameSubscription)
	if dest == "" && url == "" {
		setting.AddError(examined, subscriptionDest, enable+" = 1 needs "+subscriptionDest+" or "+subscriptionURL+
			": where the service reaches the listener")
	}
	if len(v.List(subscriptionPorts)) == 0 {
		setting.AddError(examined, subscriptionPorts, enable+" = 1 needs "+subscriptionPorts+
			": where the listener listens")
	}
	for _, e := range all {
		if e.Named() && (len(e.Reads.Conditions) > 0 || e.Reads.Filters()) {
			name := config.InGroup(e.Number, NameSubscription)
			setting.AddError(examined, name, name+" = 1 in full mode with "+NameExecPeriod+
				" = -1 reads entities by their keys, which takes no filter: expected delta "+
				"mode, a period, or no filter")
		}
	}
}

func cutScheme(url string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(url, "https://"); ok {
		return rest, true
	}
	return strings.CutPrefix(url, "http://")
}

// maxConfirm is the greatest value of sap.odata.notification.confirm.seconds: the host waits no longer than a minute.
const maxConfirm = 60
