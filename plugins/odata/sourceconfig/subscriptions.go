package sourceconfig

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

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

// Values of NotificationCatchup: what a start of the connector reads again.
const (
	CatchupReload = "reload" // the set
	catchupStore  = "store"  // the entities in SAP's notification store
	catchupNone   = "none"   // nothing, unless the subscription no longer exists
)

const maxConfirm = 60 // the host's longest wait, in seconds

func declareSubscriptions(t *setting.Table) {
	group := setting.InGroup("Subscriptions")
	t.Declare(
		setting.Define("sap.odata#{n}."+NameSubscription, wit.KindString, wit.Medium, setting.Default("0"),
			"1 subscribes to notifications of created, changed and deleted entities. In delta mode they trigger a "+
				"request for changes; in full mode with "+
				NameExecPeriod+" = -1 the entities that a notification names are read, else the set is.",
			setting.Allowed(setting.BoolValues...), setting.InGroup("Entity set {n}"), setting.Display("Subscription")),
		setting.Define(subscriptionDest, wit.KindString, wit.Medium, nil,
			"Name of the RFC destination of type G in SAP with the address of the listener.", group,
			setting.Display("RFC destination")),
		setting.Define(subscriptionURL, wit.KindString, wit.Medium, nil,
			"URL of the listener for the service, such as https://connect.example.com:8301, "+
				"instead of an RFC destination. All workers of a group listen: use the URL of a load balancer "+
				"that forwards to any of them.",
			group, setting.Display("URL of the listener")),
	)
	declareListener(t, group)
	declareNotifications(t, group)
}

// declareListener declares the settings of the listener to which the service sends notifications.
func declareListener(t *setting.Table, group wit.Rule) {
	t.Declare(
		setting.Define(subscriptionPorts, wit.KindList, wit.Medium, nil,
			"Ports of the listener for notifications; the first free one is used.",
			setting.Role(role.ListenerPorts), group, setting.Display("Ports of the listener")),
		setting.Define("sap.odata.subscription.address", wit.KindString, wit.Low, nil,
			"Address of this machine that the listener binds to. Default: all addresses.",
			setting.Role(role.ListenerAddress), group, setting.Display("Address of the listener")),
		setting.Define(subscriptionUser, wit.KindString, wit.Medium, nil,
			"User with which the service logs on to the listener. Default: no logon.",
			setting.Role(role.ListenerUser), group, setting.Display("User at the listener")),
		setting.Define(subscriptionPassword, wit.KindPassword, wit.Medium, nil, "Password of that user.",
			setting.Role(role.ListenerPassword), group, setting.Display("Password at the listener")),
		setting.Define(subscriptionKeyStore+"location", wit.KindString, wit.Medium, nil,
			"Path of the store with key and certificate of the listener, which then uses TLS.",
			setting.Role(role.ListenerTLS+"keystore.location"), group, setting.Display("Key store of the listener")),
		setting.Define(subscriptionKeyStore+"password", wit.KindPassword, wit.Medium, nil, "Password of that store.",
			setting.Role(role.ListenerTLS+"keystore.password"), group, setting.Display("Its password")),
		setting.Define(subscriptionKeyStore+"type", wit.KindString, wit.Medium, nil,
			"Type of that store: jks, jceks, pkcs12, pem.",
			setting.Role(role.ListenerTLS+"keystore.type"), group, setting.Display("Its type")),
		setting.Define(subscriptionTrust+"location", wit.KindString, wit.Low, nil, "Path of a store with the "+
			"certificates of trusted senders of notifications, or of their issuers. Default: no client "+
			"certificate is requested.",
			setting.Role(role.ListenerTLS+"truststore.location"), group, setting.Display("Senders that are trusted")),
		setting.Define(subscriptionTrust+"password", wit.KindPassword, wit.Low, nil, "Password of that store.",
			setting.Role(role.ListenerTLS+"truststore.password"), group, setting.Display("Its password")),
		setting.Define(subscriptionTrust+"type", wit.KindString, wit.Low, nil,
			"Type of that store: jks, jceks, pkcs12, pem.",
			setting.Role(role.ListenerTLS+"truststore.type"), group, setting.Display("Its type")),
	)
}

func declareNotifications(t *setting.Table, group wit.Rule) {
	t.Declare(
		setting.Define(NotificationCatchup, wit.KindString, wit.Low, setting.Default(catchupNone),
			"How a set in full mode with "+NameExecPeriod+
				" = -1 catches up at a start on changes made while the connector was down: none relies on "+
				"the service, which resends undelivered notifications, and reads the set again if the subscription "+
				"no longer exists; store reads the entities in SAP's notification store; reload reads the set again.",
			setting.Allowed(catchupNone, catchupStore, CatchupReload), group, setting.Display("After a restart")),
		setting.Define(notificationCheck, wit.KindInt, wit.Low, setting.Default("3600"),
			"Seconds without a notification after which a subscribed set in delta mode without a period "+
				"requests changes nevertheless, so that no change is lost if the subscription stops delivering. "+
				"-1 relies on notifications.",
			setting.AtLeast(-1), setting.AtMost(maxSeconds), group, setting.Display("Check")),
		setting.Define(notificationConfirm, wit.KindInt, wit.Low, setting.Default("10"),
			"Seconds after which a set in full mode with "+NameExecPeriod+" = -1 reads an entity again that does "+
				"not exist although no notification said that it was deleted, or exists although one did: the "+
				"service may answer from an older copy of its data. 0 does not read it again.",
			setting.AtLeast(0), setting.AtMost(maxConfirm), group, setting.Display("Confirm")),
	)
}

// DeliveryPrefix returns the start of the addresses to which the service sends notifications.
func DeliveryPrefix(v setting.Values) string {
	if dest := v.String(subscriptionDest); dest != "" {
		return "urn:sap-com:channel:" + dest + ":"
	}
	return strings.TrimRight(v.String(subscriptionURL), "/")
}

// UsesNotificationStore reports whether the service has to store its notifications.
func (e *EntitySetConfig) UsesNotificationStore() bool {
	return e.NotificationOnly() && e.Subscribing.Catchup == catchupStore
}

// examineSubscriptions adds the errors of subscriptions' settings to examined.
func examineSubscriptions(examined []wit.ConfigValue, values setting.Values, entitySets []EntitySetConfig) {
	user := values.String(subscriptionUser)
	secret := values.String(subscriptionPassword)
	switch {
	case user == "" && secret != "":
		setting.AddError(examined, subscriptionUser, subscriptionPassword+" needs "+subscriptionUser)
	case user != "" && secret == "":
		setting.AddError(examined, subscriptionPassword, subscriptionUser+" needs "+subscriptionPassword)
	}
	for _, port := range values.List(subscriptionPorts) {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			setting.AddError(examined, subscriptionPorts, setting.Invalid(subscriptionPorts,
				values.String(subscriptionPorts),
				"expected ports from 1 to 65535 with commas between, found "+strconv.Quote(port)))
			break
		}
	}
	if values.String(notificationCheck) != "" && values.Int(notificationCheck) == 0 {
		setting.AddError(examined, notificationCheck, setting.Invalid(notificationCheck, "0",
			"expected -1 or at least 1 second"))
	}
	dest := values.String(subscriptionDest)
	url := values.String(subscriptionURL)
	if dest != "" && url != "" {
		setting.AddError(examined, subscriptionURL, "Expected "+subscriptionDest+" or "+subscriptionURL+", found both")
	}
	if strings.ContainsAny(dest, ":/ ") {
		setting.AddError(examined, subscriptionDest, setting.Invalid(subscriptionDest, dest,
			"expected the name of an RFC destination"))
	}
	address, ok := strings.CutPrefix(url, "https://")
	if !ok {
		address, ok = strings.CutPrefix(url, "http://")
	}
	if url != "" && (!ok || address == "" || strings.ContainsAny(address, "?# ")) {
		setting.AddError(examined, subscriptionURL, setting.Invalid(subscriptionURL, url,
			"expected http://host:port or https://host:port, with a path or without"))
	}
	// What a subscription needs.
	first := slices.IndexFunc(entitySets, func(cfg EntitySetConfig) bool {
		return cfg.Subscribing.On && !setting.HasError(examined, config.InGroup(cfg.Number, NameSubscription))
	})
	if first < 0 {
		return
	}
	enable := config.InGroup(entitySets[first].Number, NameSubscription)
	if dest == "" && url == "" {
		setting.AddError(examined, subscriptionDest, enable+" = 1 needs "+subscriptionDest+" or "+subscriptionURL+
			": where the service reaches the listener")
	}
	if len(values.List(subscriptionPorts)) == 0 {
		setting.AddError(examined, subscriptionPorts, enable+" = 1 needs "+subscriptionPorts+
			": where the listener listens")
	}
	for _, cfg := range entitySets {
		if cfg.NotificationOnly() && (len(cfg.QueryOptions.Conditions) > 0 || cfg.QueryOptions.Filters()) {
			name := config.InGroup(cfg.Number, NameSubscription)
			setting.AddError(examined, name, name+" = 1 in full mode with "+NameExecPeriod+
				" = -1 reads entities by their keys, to which filters do not apply: expected delta "+
				"mode, a period, or no filter")
		}
	}
}
