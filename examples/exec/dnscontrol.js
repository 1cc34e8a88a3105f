// For dnsconfig.js: the TLSA records that danelaw's bridge "push" keeps in a
// file, in its zone. In push.ini: file = /etc/dnscontrol/tlsa.json
var tlsa = require("./tlsa.json");
var records = [];
for (var name in tlsa) {
	for (var i = 0; i < tlsa[name].values.length; i++) {
		var v = tlsa[name].values[i];
		records.push(TLSA(name, v.certificate_usage, v.selector,
			v.matching_type, v.certificate_association_data,
			TTL(tlsa[name].ttl)));
	}
}

D_EXTEND("example.com", records);
