// Package clientconfig declares the security properties of Kafka clients and checks their values ([Settings], [Check]),
// parses the login module of sasl.jaas.config ([ParseLoginModule]), and knows the name of the embedded broker. It opens
// no file and no connection, so package config can declare the properties of workers.
package clientconfig
