import { type Html, html } from '../http/pages.ts';

type ProblemText = { heading: string; explanation: string; next: string };

type Wording = {
  basketTitle: string;
  basketAt: (shop: Html) => Html;
  items: string;
  noItems: string;
  total: string;
  event: string;
  events: string;
  heldUntil: (time: Html) => Html;
  notHeldYet: string;
  soldOut: string;
  continueAs: (account: Html) => Html;
  notYou: string;
  keepToYourself: string;
  continueTo: (shop: Html) => Html;
  contactSupport: string;
  reference: (requestId: Html) => Html;
  problems: {
    link_invalid: ProblemText;
    link_expired: ProblemText;
    link_revoked: ProblemText;
    link_used: ProblemText;
    basket_expired: ProblemText;
    basket_cancelled: ProblemText;
    event_cancelled: ProblemText;
    event_suspended: ProblemText;
    rate_limited: ProblemText;
    generic: ProblemText;
  };
};

/** All words of the pages of the click in one language; `locale` (BCP 47) is what dates beside them are written in. */
export type Texts = Wording & { locale: string };

const en: Wording = {
  basketTitle: 'Your basket',
  basketAt: (shop) => html`Your basket at ${shop}`,
  items: 'In your basket',
  noItems: 'Your basket is empty.',
  total: 'Total',
  event: 'Event',
  events: 'Events',
  heldUntil: (time) => html`Held for you until ${time}.`,
  notHeldYet: 'Nothing is held yet. It will be held for you when you continue.',
  soldOut:
    'Sorry, not all of this is available at the moment. Keep your link and open it again later: it works as soon as everything is available again.',
  continueAs: (account) => html`You will continue as ${account}.`,
  notYou: 'If this is not you, close this page.',
  keepToYourself: 'This link is meant for you alone. Please do not pass it on.',
  continueTo: (shop) => html`Continue to ${shop}`,
  contactSupport: 'Contact support',
  reference: (requestId) => html`Reference: ${requestId}`,
  problems: {
    link_invalid: {
      heading: 'This link does not work',
      explanation: 'The link is incomplete or has been changed. This can happen when only part of it is copied.',
      next: 'Open it again from the message that you were sent, or copy the whole of it.',
    },
    link_expired: {
      heading: 'This link has expired',
      explanation: 'The link worked for a limited time, and that time is over.',
      next: 'Ask whoever sent it to you for a new one, or choose again at the shop.',
    },
    link_revoked: {
      heading: 'This link has been withdrawn',
      explanation: 'The link has been replaced by a newer one, or is no longer meant to be used.',
      next: 'Use the newest link that you were sent, or ask whoever sent you this one.',
    },
    link_used: {
      heading: 'This order is complete',
      explanation: 'The basket behind this link has already become an order.',
      next: 'Look for the confirmation from the shop. To buy more, start a new basket there.',
    },
    basket_expired: {
      heading: 'This basket has expired',
      explanation: 'The time for this basket is over, and its items are no longer held.',
      next: 'Choose again at the shop. The items may still be available.',
    },
    basket_cancelled: {
      heading: 'This basket was cancelled',
      explanation: 'Its items are no longer held.',
      next: 'Choose again at the shop. The items may still be available.',
    },
    event_cancelled: {
      heading: 'This event has been cancelled',
      explanation: 'An event in this basket will not take place, so the basket cannot be bought.',
      next: 'If you have a question about a payment, ask the shop.',
    },
    event_suspended: {
      heading: 'Sales are paused',
      explanation: 'An event in this basket is not on sale at the moment.',
      next: 'Keep your link and open it again later.',
    },
    rate_limited: {
      heading: 'Too many tries',
      explanation: 'Too many links that do not work were opened from your network.',
      next: 'Wait a minute, then open your link again.',
    },
    generic: {
      heading: 'Something went wrong',
      explanation: 'Your basket could not be opened.',
      next: 'Wait a moment, then open your link again.',
    },
  },
};

const de: Wording = {
  basketTitle: 'Ihr Warenkorb',
  basketAt: (shop) => html`Ihr Warenkorb bei ${shop}`,
  items: 'In Ihrem Warenkorb',
  noItems: 'Ihr Warenkorb ist leer.',
  total: 'Summe',
  event: 'Veranstaltung',
  events: 'Veranstaltungen',
  heldUntil: (time) => html`Für Sie reserviert bis ${time}.`,
  notHeldYet: 'Noch ist nichts reserviert. Die Artikel werden für Sie reserviert, sobald Sie fortfahren.',
  soldOut:
    'Leider ist im Moment nicht alles davon verfügbar. Behalten Sie Ihren Link und öffnen Sie ihn später noch einmal: Er funktioniert, sobald alles wieder verfügbar ist.',
  continueAs: (account) => html`Sie fahren fort als ${account}.`,
  notYou: 'Wenn Sie das nicht sind, schließen Sie diese Seite.',
  keepToYourself: 'Dieser Link ist nur für Sie bestimmt. Bitte geben Sie ihn nicht weiter.',
  continueTo: (shop) => html`Weiter zu ${shop}`,
  contactSupport: 'Hilfe anfordern',
  reference: (requestId) => html`Referenz: ${requestId}`,
  problems: {
    link_invalid: {
      heading: 'Dieser Link funktioniert nicht',
      explanation:
        'Der Link ist unvollständig oder wurde verändert. Das kann geschehen, wenn nur ein Teil davon kopiert wird.',
      next: 'Öffnen Sie ihn noch einmal aus der Nachricht, die Sie erhalten haben, oder kopieren Sie ihn vollständig.',
    },
    link_expired: {
      heading: 'Dieser Link ist abgelaufen',
      explanation: 'Der Link galt nur für begrenzte Zeit, und diese Zeit ist vorbei.',
      next: 'Bitten Sie den Absender um einen neuen Link, oder wählen Sie im Shop erneut aus.',
    },
    link_revoked: {
      heading: 'Dieser Link wurde zurückgezogen',
      explanation: 'Der Link wurde durch einen neueren ersetzt oder soll nicht mehr verwendet werden.',
      next: 'Verwenden Sie den neuesten Link, den Sie erhalten haben, oder fragen Sie den Absender.',
    },
    link_used: {
      heading: 'Diese Bestellung ist abgeschlossen',
      explanation: 'Aus dem Warenkorb zu diesem Link ist bereits eine Bestellung geworden.',
      next: 'Die Bestätigung erhalten Sie vom Shop. Um mehr zu kaufen, beginnen Sie dort einen neuen Warenkorb.',
    },
    basket_expired: {
      heading: 'Dieser Warenkorb ist abgelaufen',
      explanation: 'Die Zeit für diesen Warenkorb ist vorbei, und seine Artikel sind nicht mehr reserviert.',
      next: 'Wählen Sie im Shop erneut aus. Vielleicht sind die Artikel noch verfügbar.',
    },
    basket_cancelled: {
      heading: 'Dieser Warenkorb wurde storniert',
      explanation: 'Seine Artikel sind nicht mehr reserviert.',
      next: 'Wählen Sie im Shop erneut aus. Vielleicht sind die Artikel noch verfügbar.',
    },
    event_cancelled: {
      heading: 'Diese Veranstaltung wurde abgesagt',
      explanation:
        'Eine Veranstaltung in diesem Warenkorb findet nicht statt. Der Warenkorb kann deshalb nicht gekauft werden.',
      next: 'Wenn Sie eine Frage zu einer Zahlung haben, wenden Sie sich an den Shop.',
    },
    event_suspended: {
      heading: 'Der Verkauf ist unterbrochen',
      explanation: 'Eine Veranstaltung in diesem Warenkorb wird zurzeit nicht verkauft.',
      next: 'Behalten Sie Ihren Link, und öffnen Sie ihn später noch einmal.',
    },
    rate_limited: {
      heading: 'Zu viele Versuche',
      explanation: 'Aus Ihrem Netzwerk wurden zu viele Links geöffnet, die nicht funktionieren.',
      next: 'Warten Sie eine Minute, und öffnen Sie dann Ihren Link noch einmal.',
    },
    generic: {
      heading: 'Etwas ist schiefgegangen',
      explanation: 'Ihr Warenkorb konnte nicht geöffnet werden.',
      next: 'Warten Sie einen Moment, und öffnen Sie dann Ihren Link noch einmal.',
    },
  },
};

const fr: Wording = {
  basketTitle: 'Votre panier',
  basketAt: (shop) => html`Votre panier chez ${shop}`,
  items: 'Dans votre panier',
  noItems: 'Votre panier est vide.',
  total: 'Total',
  event: 'Événement',
  events: 'Événements',
  heldUntil: (time) => html`Réservé pour vous jusqu’au ${time}.`,
  notHeldYet: 'Rien n’est encore réservé. Les articles le seront pour vous dès que vous continuerez.',
  soldOut:
    'Désolé, tout n’est pas disponible pour le moment. Gardez votre lien et ouvrez-le de nouveau plus tard : il fonctionnera dès que tout sera de nouveau disponible.',
  continueAs: (account) => html`Vous allez continuer en tant que ${account}.`,
  notYou: 'Si ce n’est pas vous, fermez cette page.',
  keepToYourself: 'Ce lien vous est destiné personnellement. Merci de ne pas le transmettre.',
  continueTo: (shop) => html`Continuer vers ${shop}`,
  contactSupport: 'Contacter l’assistance',
  reference: (requestId) => html`Référence : ${requestId}`,
  problems: {
    link_invalid: {
      heading: 'Ce lien ne fonctionne pas',
      explanation:
        'Le lien est incomplet ou a été modifié. Cela peut arriver lorsqu’une partie seulement en a été copiée.',
      next: 'Ouvrez-le de nouveau depuis le message que vous avez reçu, ou copiez-le en entier.',
    },
    link_expired: {
      heading: 'Ce lien a expiré',
      explanation: 'Le lien n’était valable que pour une durée limitée, qui est écoulée.',
      next: 'Demandez un nouveau lien à la personne qui vous l’a envoyé, ou refaites votre choix dans la boutique.',
    },
    link_revoked: {
      heading: 'Ce lien a été retiré',
      explanation: 'Le lien a été remplacé par un lien plus récent, ou ne doit plus être utilisé.',
      next: 'Utilisez le lien le plus récent que vous avez reçu, ou adressez-vous à la personne qui vous a envoyé celui-ci.',
    },
    link_used: {
      heading: 'Cette commande est terminée',
      explanation: 'Le panier associé à ce lien a déjà donné lieu à une commande.',
      next: 'Cherchez la confirmation de la boutique. Pour acheter autre chose, commencez-y un nouveau panier.',
    },
    basket_expired: {
      heading: 'Ce panier a expiré',
      explanation: 'Le délai de ce panier est écoulé et ses articles ne sont plus réservés.',
      next: 'Refaites votre choix dans la boutique. Les articles sont peut-être encore disponibles.',
    },
    basket_cancelled: {
      heading: 'Ce panier a été annulé',
      explanation: 'Ses articles ne sont plus réservés.',
      next: 'Refaites votre choix dans la boutique. Les articles sont peut-être encore disponibles.',
    },
    event_cancelled: {
      heading: 'Cet événement a été annulé',
      explanation: 'Un événement de ce panier n’aura pas lieu : le panier ne peut donc pas être acheté.',
      next: 'Pour toute question sur un paiement, adressez-vous à la boutique.',
    },
    event_suspended: {
      heading: 'La vente est interrompue',
      explanation: 'Un événement de ce panier n’est pas en vente pour le moment.',
      next: 'Gardez votre lien et ouvrez-le de nouveau plus tard.',
    },
    rate_limited: {
      heading: 'Trop de tentatives',
      explanation: 'Trop de liens qui ne fonctionnent pas ont été ouverts depuis votre réseau.',
      next: 'Attendez une minute, puis ouvrez de nouveau votre lien.',
    },
    generic: {
      heading: 'Un problème est survenu',
      explanation: 'Votre panier n’a pas pu être ouvert.',
      next: 'Attendez un instant, puis ouvrez de nouveau votre lien.',
    },
  },
};

const nl: Wording = {
  basketTitle: 'Uw winkelmand',
  basketAt: (shop) => html`Uw winkelmand bij ${shop}`,
  items: 'In uw winkelmand',
  noItems: 'Uw winkelmand is leeg.',
  total: 'Totaal',
  event: 'Evenement',
  events: 'Evenementen',
  heldUntil: (time) => html`Voor u gereserveerd tot ${time}.`,
  notHeldYet: 'Er is nog niets gereserveerd. De artikelen worden voor u gereserveerd zodra u doorgaat.',
  soldOut:
    'Helaas is op dit moment niet alles beschikbaar. Bewaar uw link en open hem later opnieuw: hij werkt zodra alles weer beschikbaar is.',
  continueAs: (account) => html`U gaat verder als ${account}.`,
  notYou: 'Bent u dit niet? Sluit dan deze pagina.',
  keepToYourself: 'Deze link is alleen voor u bedoeld. Geef hem niet door.',
  continueTo: (shop) => html`Verder naar ${shop}`,
  contactSupport: 'Hulp vragen',
  reference: (requestId) => html`Referentie: ${requestId}`,
  problems: {
    link_invalid: {
      heading: 'Deze link werkt niet',
      explanation: 'De link is onvolledig of gewijzigd. Dat kan gebeuren als maar een deel ervan is gekopieerd.',
      next: 'Open hem opnieuw vanuit het bericht dat u hebt gekregen, of kopieer hem helemaal.',
    },
    link_expired: {
      heading: 'Deze link is verlopen',
      explanation: 'De link was beperkte tijd geldig, en die tijd is voorbij.',
      next: 'Vraag de afzender om een nieuwe link, of kies opnieuw in de winkel.',
    },
    link_revoked: {
      heading: 'Deze link is ingetrokken',
      explanation: 'De link is vervangen door een nieuwere, of mag niet meer worden gebruikt.',
      next: 'Gebruik de nieuwste link die u hebt gekregen, of vraag het de afzender.',
    },
    link_used: {
      heading: 'Deze bestelling is afgerond',
      explanation: 'De winkelmand bij deze link is al een bestelling geworden.',
      next: 'Zoek de bevestiging van de winkel. Wilt u meer kopen? Begin daar dan een nieuwe winkelmand.',
    },
    basket_expired: {
      heading: 'Deze winkelmand is verlopen',
      explanation: 'De tijd voor deze winkelmand is voorbij, en de artikelen zijn niet meer gereserveerd.',
      next: 'Kies opnieuw in de winkel. Misschien zijn de artikelen nog beschikbaar.',
    },
    basket_cancelled: {
      heading: 'Deze winkelmand is geannuleerd',
      explanation: 'De artikelen zijn niet meer gereserveerd.',
      next: 'Kies opnieuw in de winkel. Misschien zijn de artikelen nog beschikbaar.',
    },
    event_cancelled: {
      heading: 'Dit evenement is afgelast',
      explanation: 'Een evenement in deze winkelmand gaat niet door. De winkelmand kan daarom niet worden gekocht.',
      next: 'Hebt u een vraag over een betaling? Neem dan contact op met de winkel.',
    },
    event_suspended: {
      heading: 'De verkoop is onderbroken',
      explanation: 'Een evenement in deze winkelmand is op dit moment niet te koop.',
      next: 'Bewaar uw link en open hem later opnieuw.',
    },
    rate_limited: {
      heading: 'Te veel pogingen',
      explanation: 'Vanuit uw netwerk zijn te veel links geopend die niet werken.',
      next: 'Wacht een minuut en open uw link dan opnieuw.',
    },
    generic: {
      heading: 'Er ging iets mis',
      explanation: 'Uw winkelmand kon niet worden geopend.',
      next: 'Wacht even en open uw link dan opnieuw.',
    },
  },
};

const es: Wording = {
  basketTitle: 'Su cesta',
  basketAt: (shop) => html`Su cesta en ${shop}`,
  items: 'En su cesta',
  noItems: 'Su cesta está vacía.',
  total: 'Importe total',
  event: 'Evento',
  events: 'Eventos',
  heldUntil: (time) => html`Reservado para usted hasta el ${time}.`,
  notHeldYet: 'Todavía no hay nada reservado. Los artículos se reservarán para usted cuando continúe.',
  soldOut:
    'Lo sentimos, ahora mismo no está todo disponible. Guarde su enlace y ábralo más tarde: funcionará en cuanto todo vuelva a estar disponible.',
  continueAs: (account) => html`Continuará como ${account}.`,
  notYou: 'Si no es usted, cierre esta página.',
  keepToYourself: 'Este enlace es solo para usted. No lo comparta.',
  continueTo: (shop) => html`Continuar a ${shop}`,
  contactSupport: 'Pedir ayuda',
  reference: (requestId) => html`Referencia: ${requestId}`,
  problems: {
    link_invalid: {
      heading: 'Este enlace no funciona',
      explanation: 'El enlace está incompleto o ha sido modificado. Puede ocurrir si solo se copia una parte.',
      next: 'Ábralo de nuevo desde el mensaje que recibió o cópielo entero.',
    },
    link_expired: {
      heading: 'Este enlace ha caducado',
      explanation: 'El enlace era válido durante un tiempo limitado, y ese tiempo ha terminado.',
      next: 'Pida un enlace nuevo a quien se lo envió o elija de nuevo en la tienda.',
    },
    link_revoked: {
      heading: 'Este enlace ha sido retirado',
      explanation: 'El enlace ha sido sustituido por otro más reciente o ya no debe usarse.',
      next: 'Use el enlace más reciente que haya recibido o pregunte a quien le envió este.',
    },
    link_used: {
      heading: 'Este pedido está completo',
      explanation: 'La cesta de este enlace ya se ha convertido en un pedido.',
      next: 'Busque la confirmación de la tienda. Para comprar más, empiece allí una cesta nueva.',
    },
    basket_expired: {
      heading: 'Esta cesta ha caducado',
      explanation: 'El tiempo de esta cesta ha terminado y sus artículos ya no están reservados.',
      next: 'Elija de nuevo en la tienda. Puede que los artículos sigan disponibles.',
    },
    basket_cancelled: {
      heading: 'Esta cesta se ha cancelado',
      explanation: 'Sus artículos ya no están reservados.',
      next: 'Elija de nuevo en la tienda. Puede que los artículos sigan disponibles.',
    },
    event_cancelled: {
      heading: 'Este evento se ha cancelado',
      explanation: 'Un evento de esta cesta no se celebrará, por lo que la cesta no se puede comprar.',
      next: 'Si tiene alguna pregunta sobre un pago, consulte a la tienda.',
    },
    event_suspended: {
      heading: 'La venta está en pausa',
      explanation: 'Un evento de esta cesta no está a la venta en este momento.',
      next: 'Guarde su enlace y ábralo de nuevo más tarde.',
    },
    rate_limited: {
      heading: 'Demasiados intentos',
      explanation: 'Desde su red se han abierto demasiados enlaces que no funcionan.',
      next: 'Espere un minuto y abra de nuevo su enlace.',
    },
    generic: {
      heading: 'Algo ha salido mal',
      explanation: 'No se ha podido abrir su cesta.',
      next: 'Espere un momento y abra de nuevo su enlace.',
    },
  },
};

const WORDINGS: ReadonlyMap<string, Wording> = new Map(Object.entries({ en, de, fr, nl, es }));

/**
 * The words for a BCP 47 `locale`, matched by language: "de-AT" is German with Austrian dates. A language without a
 * translation, and text that is no locale, get British English for words and dates alike. Never throws.
 */
export function textsFor(locale: string): Texts {
  const parsed = parseLocale(locale);
  const wording = WORDINGS.get(parsed?.language ?? '');
  // Without extensions, so that "-u-ca-" or "-u-nu-" cannot choose a calendar or digits that the words do not go with.
  return parsed && wording ? { ...wording, locale: parsed.baseName } : { ...en, locale: 'en-GB' };
}

function parseLocale(locale: string): Intl.Locale | null {
  try {
    return new Intl.Locale(locale);
  } catch {
    return null;
  }
}
