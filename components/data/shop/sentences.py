"""What the simulated shop's customers write, by intent and language: sentences with slots.

Intents overlap in their words as real ones do: "order", "money", "parcel" and "return" are in several.
"""

from __future__ import annotations

OUT_OF_SCOPE = "out_of_scope"

OPENINGS = {
    "en": ("", "", "", "Hi, ", "Hello, ", "Hello there. ", "Good morning, ", "Dear team, ", "hey ", "Quick question: "),
    "de": ("", "", "Hallo, ", "Guten Tag, ", "Liebes Team, ", "Moin, "),
}
CLOSINGS = {
    "en": ("", "", "", "", " Thanks!", " Thank you.", " Please reply soon.", " Kind regards", " Cheers", " Any help?"),
    "de": ("", "", "", " Danke!", " Vielen Dank.", " Mit freundlichen Grüßen", " Bitte um Antwort."),
}

SENTENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "order_status": {
        "en": (
            "where is my order {order}?",
            "I ordered {product} on {date} and have heard nothing since.",
            "can you tell me what is happening with {order}",
            "has order {order} left the warehouse yet?",
            "my parcel with the {product} still shows as being packed.",
            "tracking for {order} has not moved since {date}.",
            "is there any news about what I bought on {date}?",
            "the status page says nothing about {order}.",
        ),
        "de": (
            "wo ist meine Bestellung {order}?",
            "ich habe am {date} bestellt und nichts mehr gehört.",
            "ist {order} schon unterwegs?",
        ),
    },
    "return_item": {
        "en": (
            "I want to send the {product} back.",
            "how do I return something from order {order}?",
            "the {product} is not for me, what do I do to give it back?",
            "please send me a return label for {order}.",
            "can I bring the {product} back to a shop instead of posting it?",
            "until when can I return what I bought on {date}?",
            "I opened the {product}, may I still return it?",
            "wrong size, I would like to exchange the {product}.",
        ),
        "de": (
            "ich möchte {product} zurückschicken.",
            "wie kann ich etwas aus {order} zurückgeben?",
            "bitte ein Rücksendeetikett für {order}.",
        ),
    },
    "refund": {
        "en": (
            "when do I get my money back for {order}?",
            "I sent the {product} back on {date} and the refund is not here.",
            "you owe me for the {product} I returned.",
            "the refund of {order} is less than what I paid.",
            "has my money been transferred? It was order {order}.",
            "I was promised my money back on {date}.",
            "please pay me back for the {product}.",
            "my bank shows no credit from you for {order}.",
        ),
        "de": (
            "wann bekomme ich mein Geld für {order} zurück?",
            "die Erstattung für {product} fehlt noch.",
            "mir wurde am {date} eine Erstattung zugesagt.",
        ),
    },
    "cancel_order": {
        "en": (
            "please cancel order {order}.",
            "I ordered the {product} by mistake, stop it please.",
            "can {order} still be stopped before it is shipped?",
            "I changed my mind about what I ordered on {date}.",
            "do not send the {product}, I found it elsewhere.",
            "take the {product} out of {order}.",
            "I clicked twice, one of the two orders has to go.",
            "I no longer need order {order}.",
        ),
        "de": (
            "bitte {order} stornieren.",
            "ich habe {product} aus Versehen bestellt.",
            "kann man die Bestellung vom {date} noch aufhalten?",
        ),
    },
    "change_address": {
        "en": (
            "I moved, where do I change my address?",
            "please send {order} to my office instead.",
            "the house number on order {order} is wrong.",
            "can the parcel go to my neighbour? It is the {product}.",
            "my old address is still on the order of {date}.",
            "I need another delivery address for {order}.",
            "there is a typing error in my street, please correct it.",
        ),
        "de": (
            "ich bin umgezogen, bitte die Adresse ändern.",
            "bitte {order} an eine andere Anschrift senden.",
            "die Hausnummer bei {order} stimmt nicht.",
        ),
    },
    "invoice": {
        "en": (
            "I need an invoice for {order}.",
            "could you send me the bill of {date} as a PDF?",
            "my company's name has to be on the invoice of {order}.",
            "where do I find receipts of older orders?",
            "the invoice lists the {product} twice.",
            "the tax on the bill for the {product} looks wrong.",
            "no receipt was in the parcel of {order}.",
        ),
        "de": (
            "ich brauche eine Rechnung zu {order}.",
            "bitte die Rechnung vom {date} als PDF schicken.",
            "auf der Rechnung steht {product} doppelt.",
        ),
    },
    "product_question": {
        "en": (
            "does the {product} contain nuts?",
            "how much is in one pack of {product}?",
            "where is the {product} made?",
            "is the {product} suitable for children?",
            "how long does the {product} keep once it is open?",
            "what is the difference between {product} and {other}?",
            "can I freeze the {product}?",
            "which is better for a gift, the {product} or the {other}?",
        ),
        "de": (
            "enthält {product} Nüsse?",
            "wo wird {product} hergestellt?",
            "wie lange hält sich {product} nach dem Öffnen?",
        ),
    },
    "availability": {
        "en": (
            "when will the {product} be back in stock?",
            "do you have the {product} in your shop in town?",
            "the {product} is sold out, will there be more?",
            "I cannot find {product} any more, did you stop selling it?",
            "can you reserve two {product} for me?",
            "is {other} available in a larger pack?",
            "please tell me as soon as {product} can be ordered again.",
        ),
        "de": (
            "wann gibt es {product} wieder?",
            "ist {product} in der Filiale vorrätig?",
            "warum ist {product} nicht mehr im Sortiment?",
        ),
    },
    "complaint": {
        "en": (
            "the {product} arrived broken.",
            "this is the third time something was missing from my parcel.",
            "the {product} tastes of nothing, I am disappointed.",
            "your driver threw order {order} over the fence.",
            "I got {other} instead of {product}.",
            "the quality of the {product} has become worse.",
            "nobody answered what I wrote on {date}, that is poor service.",
            "half of {order} is missing and the box was open.",
        ),
        "de": (
            "{product} kam kaputt an.",
            "in {order} fehlt die Hälfte.",
            "statt {product} kam {other}, das ist ärgerlich.",
        ),
    },
    "payment_problem": {
        "en": (
            "my card was charged twice for {order}.",
            "the payment does not go through at the checkout.",
            "I paid on {date} and you still remind me.",
            "why was my card declined when I bought the {product}?",
            "the amount taken for {order} is not what I saw.",
            "can I pay {order} by transfer instead?",
            "my voucher was not taken off the total of {order}.",
        ),
        "de": (
            "meine Karte wurde für {order} zweimal belastet.",
            "die Zahlung an der Kasse geht nicht durch.",
            "ich habe am {date} bezahlt und bekomme eine Mahnung.",
        ),
    },
    "delivery_time": {
        "en": (
            "how long does delivery take at the moment?",
            "will {order} be here before the weekend?",
            "I need the {product} by Friday, is that possible?",
            "do you deliver in the evening?",
            "what does express delivery cost?",
            "on which day do you deliver {product} if I order now?",
            "which carrier will bring {order}, and at what time?",
        ),
        "de": (
            "wie lange dauert die Lieferung zurzeit?",
            "kommt {order} noch vor dem Wochenende?",
            "liefert ihr {product} auch abends?",
        ),
    },
    "loyalty": {
        "en": (
            "how many points do I have?",
            "my points from {date} are missing.",
            "did order {order} count for the bonus programme?",
            "how do I turn points into a voucher?",
            "do I get points for the {product}?",
            "when do my points expire?",
            "I would like to join your bonus card.",
        ),
        "de": (
            "wie viele Punkte habe ich?",
            "die Punkte für {order} fehlen.",
            "wie löse ich meine Punkte ein?",
        ),
    },
    OUT_OF_SCOPE: {
        "en": (
            "are you hiring at the moment?",
            "can you recommend a good film for tonight?",
            "what do you think about the election?",
            "I am writing an essay on retail, may I interview someone?",
            "my radio only plays one station, what could it be?",
            "we are a band and would like to play at your summer party.",
            "do you want to buy a mailing list?",
            "what is the capital of Mongolia?",
            "I lost my umbrella on the tram on {date}.",
            "please translate this sentence into Latin for me.",
            "asdf test test",
        ),
        "de": (
            "sucht ihr gerade Personal?",
            "wie wird das Wetter morgen?",
            "könnt ihr mir ein Gedicht schreiben?",
        ),
    },
}
