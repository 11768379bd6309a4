package order

import (
	"strconv"
	"strings"
)

// currencies are the codes of ISO 4217 (list one of 2025, and ANG, whose notes
// still circulate), but for test codes and metals, which nothing is sold for.
const currencies = " AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD" +
	" CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD" +
	" GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD" +
	" LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR" +
	" PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD" +
	" TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "

// decimals of the minor unit, where they are not 2 (ISO 4217).
var decimals = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"CLF": 4, "UYW": 4,
}

// symbols are written before an amount; other currencies are by their code.
var symbols = map[string]string{"CNY": "¥", "JPY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "KRW": "₩", "INR": "₹", "HKD": "HK$", "TWD": "NT$"}

// isCurrency reports whether code is a currency that a sale may be in.
func isCurrency(code string) bool {
	return currency(code) && strings.Contains(currencies, " "+code+" ")
}

// MinorUnits returns how many minor units are one of the currency: 100 fen are one
// yuan, one yen is one yen.
func MinorUnits(currency string) (n int64) {
	n = 1
	for range places(currency) {
		n *= 10
	}
	return n
}

func places(currency string) int {
	if n, special := decimals[currency]; special {
		return n
	}
	return 2
}

// Money writes an amount of minor units as people do: ¥99.00, KWD 9.900.
func Money(minor int64, currency string) string {
	places := places(currency)
	symbol, ok := symbols[currency]
	if !ok {
		symbol = currency + " "
	}
	text := strconv.FormatInt(minor, 10)
	sign := ""
	if minor < 0 {
		sign, text = "-", text[1:]
	}
	if places == 0 {
		return sign + symbol + text
	}
	if short := places + 1 - len(text); short > 0 {
		text = strings.Repeat("0", short) + text
	}
	return sign + symbol + text[:len(text)-places] + "." + text[len(text)-places:]
}
